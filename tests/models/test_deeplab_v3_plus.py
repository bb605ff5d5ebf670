import pytest
import torch
from torch import nn

from atrous.layers import SeparableConv
from atrous.models import Option, SegmentationModel, build_model


def built(encoder: str, **options: Option) -> SegmentationModel:
    with torch.device("meta"):
        return build_model("deeplab_v3_plus", encoder_name=encoder, options=options)


@pytest.mark.parametrize(
    ("encoder", "separable", "parameters"),
    [
        ("resnet50", False, 40_352_181),
        ("resnet50", True, 26_696_133),
        ("resnet101", False, 59_344_309),
        ("resnet101", True, 45_688_261),
        ("resnet101s", False, 59_468_085),
        ("resnet101s", True, 45_812_037),
        ("xception65", True, 41_055_413),
        ("xception65", False, 54_711_461),
        ("xception41", True, 28_108_661),
        ("xception71", True, 43_477_837),
    ],
)
def test_parameters_are_those_of_the_paper(encoder: str, separable: bool, parameters: int) -> None:
    # timm's Xception keeps the skip of the whole second block, as the paper's has: 256 channels
    assert sum(p.numel() for p in built(encoder, separable=separable).parameters()) == parameters


def test_a_513_image_gives_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        model = built("resnet50")
        images = torch.empty(1, 3, 513, 513)
        stages = model.encoder(images)
        assert stages[1].shape == (1, 256, 129, 129)
        assert model.aspp(stages[-1]).shape == (1, 256, 33, 33)
        assert model.refine[0].conv.in_channels == 304
        assert model.score(images).main.shape == (1, 21, 129, 129)
        assert model(images).shape == (1, 21, 513, 513)


def test_another_output_stride_changes_rates_and_no_parameter() -> None:
    coarse, dense = built("resnet50", output_stride=16), built("resnet50", output_stride=8)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (coarse, dense)]
    assert shapes[0] == shapes[1]
    assert [branch.conv.dilation[0] for branch in coarse.aspp.atrous] == [6, 12, 18]
    assert [branch.conv.dilation[0] for branch in dense.aspp.atrous] == [12, 24, 36]


# Dilation and stride of entry 3, the middle flow, exit 1 and exit 2 (Sec. 4.3, release).
XCEPTION = {
    32: ((1, 2), (1, 1), (1, 2), (1, 1)),
    16: ((1, 2), (1, 1), (1, 1), (2, 1)),
    8: ((1, 1), (2, 1), (2, 1), (4, 1)),
}


@pytest.mark.parametrize("output_stride", XCEPTION)
@pytest.mark.parametrize(
    ("name", "middle"), [("xception41", 8), ("xception65", 16), ("xception71", 16)]
)
def test_xception_is_dilated_as_in_the_release(name: str, middle: int, output_stride: int) -> None:
    encoder = built(name, output_stride=output_stride).encoder
    blocks = [block for part, block in encoder.named_children() if part.startswith("blocks")]
    entry = len(blocks) - middle - 2
    flows = blocks[entry - 1 : entry], blocks[entry:-2], blocks[-2:-1], blocks[-1:]
    assert len(flows[1]) == middle
    for flow, (dilation, stride) in zip(flows, XCEPTION[output_stride], strict=True):
        for block in flow:
            depthwise = [getattr(block.stack, f"conv{i}").conv_dw for i in (1, 2, 3)]
            assert [layer.dilation[0] for layer in depthwise] == [dilation] * 3
            assert [layer.stride[0] for layer in depthwise] == [1, 1, stride]


@pytest.mark.parametrize("name", ["xception41", "xception65", "xception71"])
def test_xception_has_the_parameters_and_layers_of_the_release(name: str) -> None:
    encoder = built(name).encoder
    published = {"41": 24_920_560, "65": 37_867_312, "71": 40_289_736}
    assert sum(p.numel() for p in encoder.parameters()) == published[name[-2:]]
    depthwise = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert 2 + len(depthwise) == int(name[-2:])  # two stem convolutions: hence the name
    assert encoder.channels[1] == 256


def test_the_multi_grid_is_deeplab_v3s_on_resnet_only() -> None:
    rates = [unit.conv2.dilation[0] for unit in built("resnet50").encoder.layer4]
    assert rates == [2, 4, 8]


def test_departures_of_public_weights_are_options() -> None:
    model = built("resnet18", rates="12,24,36", decoder_convolutions=1, refine=True, separable=True)
    assert len(model.refine) == 1
    assert isinstance(model.aspp.refine, SeparableConv)
    assert [branch.depthwise.conv.dilation[0] for branch in model.aspp.atrous] == [12, 24, 36]
    plain = built("mobilenet_v2", norm_between=False)
    inner = [
        m for m in plain.refine[0].depthwise.modules() if isinstance(m, nn.BatchNorm2d | nn.ReLU)
    ]
    assert inner == []


@pytest.mark.parametrize(("convolutions", "width"), [(1, 304), (2, 256), (3, 256)])
def test_the_decoder_has_as_many_convolutions_as_asked_for(convolutions: int, width: int) -> None:
    model = built("resnet50", decoder_convolutions=convolutions)
    assert len(model.refine) == convolutions
    assert model.refine[-1].conv.in_channels == width


def test_convolutions_are_separable_on_mobilenet_and_xception_only() -> None:
    for encoder, separable in (("mobilenet_v2", True), ("xception41", True), ("resnet18", False)):
        model = built(encoder)
        assert isinstance(model.refine[0], SeparableConv) == separable
        assert isinstance(model.aspp.atrous[0], SeparableConv) == separable


def test_widths_are_options() -> None:
    model = built("mobilenet_v2", aspp_channels=64, skip_channels=16, decoder_channels=32)
    assert model.refine[0].depthwise.conv.in_channels == 64 + 16
    assert model.head.in_channels == 32


def test_aligned_corners_keep_the_corner_scores_as_in_the_release() -> None:
    torch.manual_seed(0)
    options: dict[str, Option] = {"aspp_channels": 8, "decoder_channels": 8, "align_corners": True}
    model = build_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", options=options).eval()
    images = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        corners, coarse = model(images)[..., ::32, ::48], model.score(images).main
    torch.testing.assert_close(corners, coarse[..., ::8, ::12])
