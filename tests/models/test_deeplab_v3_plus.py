import pytest
import torch

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
        ("xception65", True, 41_055_413),
        ("xception65", False, 54_711_461),
        ("xception41", True, 28_108_661),
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
