import pytest
import torch

from atrous.models.deeplab_v3 import ASPP, aspp_rates


def test_parameters_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in ASPP(2048, 256, (6, 12, 18)).parameters()) == 15_535_104


def test_rates_follow_the_output_stride() -> None:
    assert aspp_rates(16) == (6, 12, 18)
    assert aspp_rates(8) == (12, 24, 36)


@pytest.mark.parametrize("separable", [False, True])
def test_the_map_keeps_its_size(separable: bool) -> None:
    aspp = ASPP(8, 16, (6, 12, 18), separable=separable)
    assert aspp(torch.randn(2, 8, 5, 3)).shape == (2, 16, 5, 3)


def test_a_rate_beyond_the_map_leaves_the_centre_tap_alone() -> None:
    torch.manual_seed(0)
    branch = ASPP(4, 3, (36,)).eval().atrous[0]
    x = torch.randn(1, 4, 9, 9)
    centre = branch.conv.weight[:, :, 1:2, 1:2]
    expected = branch.norm(torch.nn.functional.conv2d(x, centre)).relu()
    torch.testing.assert_close(branch(x), expected)


def test_a_batch_of_one_trains_with_the_image_branch_on_running_statistics() -> None:
    torch.manual_seed(0)
    aspp = ASPP(4, 3, (6,)).train()
    aspp(torch.randn(1, 4, 6, 6)).sum().backward()
    weight = aspp.image_level.get_parameter("conv.weight")
    assert weight.grad is not None
    assert torch.equal(aspp.image_level.get_buffer("norm.running_mean"), torch.zeros(3))


def test_the_image_branch_comes_first_then_1x1_then_the_rates() -> None:
    torch.manual_seed(0)
    aspp = ASPP(4, 3, (1, 2)).eval()
    x = torch.randn(1, 4, 6, 5)
    parts = [aspp.image_level(x.mean((2, 3), keepdim=True)).expand(1, 3, 6, 5)]
    parts += [aspp.point(x), aspp.atrous[0](x), aspp.atrous[1](x)]
    torch.testing.assert_close(aspp(x), aspp.project(torch.cat(parts, 1)))
