import pytest
import torch
from torch import nn

from atrous.errors import InputError
from atrous.layers import ConvNormAct, SeparableConv
from atrous.models import Option, SegmentationModel, build_model
from atrous.models.deeplab_v3 import ASPP, DeepLabV3Cascade, aspp_rates


def built(encoder: str, **options: Option) -> SegmentationModel:
    with torch.device("meta"):
        return build_model("deeplab_v3", encoder_name=encoder, options=options)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def rates_of(stage: nn.Module) -> list[int]:
    return [unit.conv2.dilation[0] for unit in stage]


@pytest.mark.parametrize(
    ("encoder", "options", "parameters"),
    [
        ("resnet50", {}, 39_048_533),
        ("resnet101", {}, 58_040_661),
        ("resnet50s", {}, 39_172_309),
        ("resnet101s", {}, 58_164_437),
        ("xception65", {"separable": True}, 40_892_485),
        ("mobilenet_v2", {"rates": "none"}, 2_113_557),  # the 2.11 M of the MobileNetV2 paper
    ],
)
def test_parameters_are_those_of_the_paper(
    encoder: str, options: dict[str, Option], parameters: int
) -> None:
    assert count(built(encoder, **options)) == parameters


@pytest.mark.parametrize(
    ("encoder", "auxiliary", "parameters"),
    [
        ("resnet50", False, 39_638_869),
        ("resnet101", False, 58_630_997),
        ("resnet50", True, 42_004_074),  # as torchvision publishes them
        ("resnet101", True, 60_996_202),
    ],
)
def test_torchvisions_form_has_torchvisions_parameters(
    encoder: str, auxiliary: bool, parameters: int
) -> None:
    assert count(built(encoder, refine=True, auxiliary=auxiliary)) == parameters


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        ("resnet50", (23_551_061, 36_938_837, 50_326_613, 63_714_389)),
        ("resnet101", (42_543_189, 55_930_965, 69_318_741, 82_706_517)),
    ],
)
def test_cascades_have_the_parameters_of_their_blocks(
    encoder: str, parameters: tuple[int, ...]
) -> None:
    for blocks, expected in zip((4, 5, 6, 7), parameters, strict=True):
        assert count(built(encoder, form="cascade", blocks=blocks)) == expected


def test_the_head_has_the_parameters_of_the_release() -> None:
    with torch.device("meta"):
        assert count(ASPP(2048, 256, (6, 12, 18))) == 15_535_104


@pytest.mark.parametrize(
    ("output_stride", "block3", "block4"),
    [(16, 1, [2, 4, 8]), (8, 2, [4, 8, 16]), (32, 1, [1, 2, 4])],
)
def test_the_multi_grid_of_the_final_model_is_1_2_4(
    output_stride: int, block3: int, block4: list[int]
) -> None:
    model = built("resnet101", output_stride=output_stride)
    assert rates_of(model.encoder.layer4) == block4
    assert set(rates_of(model.encoder.layer3)) == {block3}
    assert [branch.conv.dilation[0] for branch in model.aspp.atrous] == list(
        aspp_rates(output_stride)
    )


@pytest.mark.parametrize(("output_stride", "first"), [(16, 2), (8, 4)])
def test_each_block_of_the_cascade_doubles_the_rate_of_the_one_before(
    output_stride: int, first: int
) -> None:
    model = built("resnet50", form="cascade", output_stride=output_stride)
    assert isinstance(model, DeepLabV3Cascade)
    blocks = [model.encoder.layer4, *model.cascade]
    assert len(blocks) == 4
    for power, block in enumerate(blocks):  # multi-grid (1, 2, 1): Table 4's best
        rate = first * 2**power
        assert rates_of(block) == [rate, 2 * rate, rate]
    images = torch.empty(1, 3, 513, 513, device="meta")
    size = 512 // output_stride + 1
    assert model.score(images).main.shape == (1, 21, size, size)


def test_another_multi_grid_is_an_option() -> None:
    assert rates_of(built("resnet50", multi_grid="1,2,1").encoder.layer4) == [2, 4, 2]
    assert rates_of(built("resnet50", multi_grid="none").encoder.layer4) == [2, 2, 2]
    assert rates_of(built("resnet50", multi_grid="none", even_dilation=False).encoder.layer4) == [
        1,
        2,
        2,
    ]  # torchvision's


def test_the_output_stride_changes_no_parameter() -> None:
    for form in ("aspp", "cascade"):
        coarse, dense = (built("resnet50", form=form, output_stride=stride) for stride in (16, 8))
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (coarse, dense)]
        assert shapes[0] == shapes[1]


def test_weights_of_output_stride_16_say_nearly_the_same_at_8() -> None:
    torch.manual_seed(0)
    options: dict[str, Option] = {"aspp_channels": 16}
    coarse = build_model("deeplab_v3", encoder_name="resnet18", options=options).eval()
    for norm in (m for m in coarse.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.ones_(norm.weight)
    dense = build_model(
        "deeplab_v3", encoder_name="resnet18", options={**options, "output_stride": 8}
    ).eval()
    dense.load_state_dict(coarse.state_dict())
    images = nn.functional.interpolate(torch.randn(1, 3, 5, 5), (129, 129), mode="bicubic")
    with torch.no_grad():
        agreement = (coarse(images).argmax(1) == dense(images).argmax(1)).float().mean()
    assert agreement > 0.8


def test_rates_follow_the_output_stride_or_the_option() -> None:
    assert aspp_rates(16) == (6, 12, 18)
    assert aspp_rates(8) == (12, 24, 36)
    torchvisions = built("resnet50", rates="12,24,36")
    assert [b.conv.dilation[0] for b in torchvisions.aspp.atrous] == [12, 24, 36]
    assert len(built("mobilenet_v2", rates="6, 12, 18,24").aspp.atrous) == 4
    assert len(built("mobilenet_v2", rates="none").aspp.atrous) == 0


@pytest.mark.parametrize("separable", [False, True])
def test_the_map_keeps_its_size(separable: bool) -> None:
    convolution = SeparableConv if separable else ConvNormAct
    aspp = ASPP(8, 16, (6, 12, 18), convolution=convolution, refine=True)
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


def test_without_image_level_a_pixel_far_away_does_not_matter() -> None:
    torch.manual_seed(0)
    near, far = torch.zeros(1, 4, 1, 9), torch.zeros(1, 4, 1, 9)
    far[..., -1] = 1.0
    for image_level, expected in ((True, False), (False, True)):
        aspp = ASPP(4, 3, (2,), image_level=image_level).eval()
        same = torch.equal(aspp(near)[..., 0], aspp(far)[..., 0])
        assert same == expected
    assert count(ASPP(4, 3, (2,), image_level=False)) == count(ASPP(4, 3, (2,))) - 4 * 3 - 6 - 9


def test_the_second_classifier_sees_stage_4_while_training() -> None:
    model = built("resnet50", auxiliary=True, align_corners=True)
    images = torch.empty(2, 3, 65, 65, device="meta")
    (auxiliary,) = model.train().score(images).auxiliary
    assert auxiliary.shape == (2, 21, 5, 5)
    assert model.auxiliary.conv.conv.in_channels == 1024
    assert model.eval().score(images).auxiliary == ()


def test_scores_start_small_and_without_preference() -> None:
    # the release: truncated normal of std 0.01, zero bias
    torch.manual_seed(0)
    model = build_model("deeplab_v3", encoder_name="mobilenet_v2_035")
    assert model.head.weight.abs().max() <= 0.02
    assert not model.head.bias.any()


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("resnet50", {"multi_grid": "1;2"}, "multi_grid is '1;2'; give whole numbers above 0 with"),
        ("resnet50", {"rates": "0,6"}, "rates is '0,6'; give whole numbers"),
        ("resnet50", {"multi_grid": "1,2"}, "names 2 units, but block4 of resnet50 has 3"),
        ("mobilenet_v2", {"multi_grid": "1,2,4"}, "encoder mobilenet_v2 has no multi_grid"),
        ("mobilenet_v2", {"form": "cascade"}, "mobilenet_v2 has no block4 to copy; take a ResNet"),
        (
            "resnet50",
            {"form": "cascade", "blocks": 8},
            "blocks is 8; the last block .* 4, 5, 6 or 7",
        ),
        ("resnet50", {"dropout": 1.5}, r"dropout is 1\.5; give a fraction"),
        (
            "resnet50",
            {"dropout": "much"},
            "dropout of deeplab_v3 is 'much'; give a finite number, not below 0",
        ),
        ("resnet50", {"rates": 6}, "rates of deeplab_v3 is 6; give a text or nothing"),
    ],
)
def test_impossible_options_are_refused(
    encoder: str, options: dict[str, Option], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        built(encoder, **options)


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("cascade", {"rates": "6,12"}, "in cascade has no rates='6,12'; leave it out"),
        ("cascade", {"separable": True}, "in cascade has no separable=True; leave it out"),
        ("cascade", {"auxiliary": True}, "in cascade has no auxiliary=True; leave it out"),
        ("cascade", {"image_level": False}, "in cascade has no image_level=False; leave it out"),
        ("cascade", {"aspp_channels": 8}, "in cascade has no aspp_channels=8; leave it out"),
        ("cascade", {"refine": True}, "in cascade has no refine=True; leave it out"),
        ("cascade", {"dropout": 0.5}, "in cascade has no dropout=0.5; leave it out"),
        (
            "cascade",
            {"refine": True, "auxiliary": True},
            "in cascade has no refine=True and auxiliary=True; leave them out",
        ),
        ("aspp", {"blocks": 5}, "with an ASPP has no blocks=5; leave it out"),
    ],
)
def test_options_of_the_other_form_are_refused(
    form: str, options: dict[str, Option], message: str
) -> None:
    with pytest.raises(InputError, match=f"deeplab_v3 {message}"):
        built("resnet18", form=form, **options)


def test_options_of_the_other_form_may_stand_at_their_defaults() -> None:
    spec = built("resnet18", form="cascade").spec
    assert built("resnet18", **spec.options).spec == spec
