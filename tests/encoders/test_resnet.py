import subprocess
import sys

import pytest
import timm
import torch
import torchvision
from torch import nn

from atrous.encoders import create_encoder
from atrous.encoders.resnet import ResNet
from atrous.errors import InputError


def lively(network: nn.Module) -> nn.Module:
    """Draw every scale and statistic, so that no unit is its shortcut and no swap stays hidden."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    return network.eval()


def dilations(stage: nn.Module) -> list[tuple[int, ...]]:
    """Return the dilations of the 3x3 convolutions of each unit, padding and stride checked."""
    found = []
    for unit in stage:
        convolutions = [m for m in unit.modules() if isinstance(m, nn.Conv2d)]
        spatial = [m for m in convolutions if m.kernel_size == (3, 3)]
        assert all(m.padding == m.dilation for m in spatial)
        found.append(tuple(m.dilation[0] for m in spatial))
    return found


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_keys_and_shapes_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        ours = create_encoder(name).state_dict()
        theirs = getattr(torchvision.models, name)().state_dict()
    kept = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    assert {key: value.shape for key, value in ours.items()} == kept


@pytest.mark.parametrize("name", ["resnet50s", "resnet101s", "resnet152s"])
def test_keys_and_shapes_of_a_deep_stem_are_timms(name: str) -> None:
    with torch.device("meta"):
        ours = create_encoder(name).state_dict()
        theirs = timm.create_model(name).state_dict()
    kept = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    assert {key: value.shape for key, value in ours.items()} == kept


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
        ("resnet152", 58_143_808),
        ("resnet50s", 23_631_808),
        ("resnet101s", 42_623_936),
        ("resnet152s", 58_267_584),
        ("resnet101_caffe", 42_394_816 + 105_344),  # DeepLab v2's trunk: convolutions, norms
    ],
)
def test_parameters_are_those_of_the_papers(name: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = create_encoder(name)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_features_are_torchvisions_with_the_same_weights(name: str) -> None:
    theirs = lively(getattr(torchvision.models, name)())
    ours = create_encoder(name).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 65, 97)
    stages = ours(x)
    x = theirs.relu(theirs.bn1(theirs.conv1(x)))
    torch.testing.assert_close(stages[0], x)
    x = theirs.maxpool(x)
    for stage, layer in zip(stages[1:], ("layer1", "layer2", "layer3", "layer4"), strict=True):
        x = getattr(theirs, layer)(x)
        torch.testing.assert_close(stage, x)


def test_features_of_a_deep_stem_are_timms_with_the_same_weights() -> None:
    theirs = lively(timm.create_model("resnet50s", features_only=True))
    ours = create_encoder("resnet50s").eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 65, 97)
    for mine, reference in zip(ours(x), theirs(x), strict=True):
        torch.testing.assert_close(mine, reference)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_dilated_features_are_torchvisions_with_the_same_weights(output_stride: int) -> None:
    replaced = [False, output_stride == 8, True]
    theirs = lively(torchvision.models.resnet50(replace_stride_with_dilation=replaced))
    ours = create_encoder("resnet50", output_stride=output_stride).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 49, 65)
    found = ours(x)[-1]
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    ("name", "even_dilation"),
    [("resnet18", False), ("resnet50", None), ("resnet101_caffe", None)],  # None: what is exact
)
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(
    name: str, even_dilation: bool | None, output_stride: int
) -> None:
    coarse = lively(create_encoder(name))
    dense = create_encoder(name, output_stride=output_stride, even_dilation=even_dilation).eval()
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 65, 97), 32 // output_stride
    found, expected = dense(images)[-1][..., ::step, ::step], coarse(images)[-1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert dense.strides == tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))


def test_dilations_follow_the_conventions_of_the_releases() -> None:
    with torch.device("meta"):
        torchvisions = ResNet(50, output_stride=8)
        pspnets = ResNet(50, output_stride=8, even_dilation=True)
        basic = ResNet(34, output_stride=8)
    assert dilations(torchvisions.layer3) == [(1,)] + [(2,)] * 5
    assert dilations(torchvisions.layer4) == [(2,), (4,), (4,)]
    assert dilations(pspnets.layer3) == [(2,)] * 6
    assert dilations(pspnets.layer4) == [(4,)] * 3
    assert dilations(basic.layer4) == [(2, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(("output_stride", "rate"), [(16, 2), (8, 4)])
def test_a_multi_grid_multiplies_the_rates_of_block4(output_stride: int, rate: int) -> None:
    # DeepLab v3, Sec. 3.3: with output stride 16 and multi-grid (1, 2, 4) the rates are 2, 4, 8
    with torch.device("meta"):
        encoder = create_encoder(
            "resnet101", output_stride=output_stride, even_dilation=True, multi_grid=(1, 2, 4)
        )
    assert dilations(encoder.layer4) == [(rate,), (2 * rate,), (4 * rate,)]
    assert set(dilations(encoder.layer3)) == {(rate // 2,)}


def test_a_replica_is_block4_without_projection_and_stride() -> None:
    with torch.device("meta"):
        encoder = ResNet(50, output_stride=16, multi_grid=(1, 2, 1))
        block = encoder.replica(4)
    assert dilations(block) == [(4,), (8,), (4,)]
    assert all(unit.downsample is None for unit in block)
    assert sum(p.numel() for p in block.parameters()) == 36_938_837 - 23_551_061  # page: block5
    assert block(torch.empty(1, 2048, 5, 7, device="meta")).shape == (1, 2048, 5, 7)


def test_the_stride_lies_where_the_release_has_it() -> None:
    with torch.device("meta"):
        for caffe, strides in ((False, (1, 2)), (True, (2, 1))):
            unit = ResNet(50, caffe=caffe).layer2[0]
            assert (unit.conv1.stride[0], unit.conv2.stride[0]) == strides


def test_caffes_pooling_rounds_up() -> None:
    with torch.device("meta"):
        images = torch.empty(1, 3, 321, 324)
        found = create_encoder("resnet101_caffe", output_stride=8)(images)[1]
    assert found.shape[-2:] == (81, 82)  # 321 -> 161 -> 81 (DeepLab v2, Sec. 4.1.2)


def test_a_513_image_gives_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        images = torch.empty(1, 3, 513, 513)
        for output_stride, last in ((16, 33), (8, 65)):
            stages = create_encoder("resnet50", output_stride=output_stride)(images)
            assert (stages[1].shape[-1], stages[-1].shape[-1]) == (129, last)
            assert stages[1].shape[1] == 256


def test_a_fresh_unit_is_its_shortcut() -> None:
    unit = ResNet(18).layer1[0].eval()
    x = torch.rand(1, 64, 5, 5)
    torch.testing.assert_close(unit(x), x)


def test_a_map_of_one_cell_trains_with_a_batch_of_one() -> None:
    encoder = ResNet(18).train()
    assert encoder(torch.randn(1, 3, 32, 32))[-1].shape[-2:] == (1, 1)


def test_a_multi_grid_of_the_wrong_length_is_refused() -> None:
    with (
        torch.device("meta"),
        pytest.raises(
            InputError,
            match=r"names 3 units, but block4 of resnet18 has 2; give one factor for each",
        ),
    ):
        create_encoder("resnet18", multi_grid=(1, 2, 4))


def test_a_resnet_needs_neither_timm_nor_torchvision() -> None:
    script = (
        "import sys; from atrous.encoders import create_encoder; create_encoder('resnet18'); "
        "print({'timm', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
