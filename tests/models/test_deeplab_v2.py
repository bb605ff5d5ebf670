import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.models import Option, SegmentationModel, build_model
from atrous.models.attention_to_scale import AttentionToScale
from atrous.models.deeplab_v2 import RATES, DeepLabV2, scaled_rates
from atrous.ops import Normalization
from atrous.training.norm import hold_norms


def built(encoder: str = "resnet101", classes: int = 21, **options: Option) -> SegmentationModel:
    with torch.device("meta"):
        return build_model("deeplab_v2", encoder_name=encoder, classes=classes, options=options)


def count(network: nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)


@pytest.mark.parametrize(
    ("classes", "parameters", "trainable", "large_fov", "plain"),
    [
        (21, 44_048_532, 43_943_188, 387_093, 43_029),
        (60, 46_924_080, 46_818_736, 1_105_980, 122_940),
        (7, 43_016_284, 42_910_940, 129_031, 14_343),
        (19, 43_901_068, 43_795_724, 350_227, 38_931),
    ],
)
def test_parameters_on_resnet101_are_those_of_the_release(
    classes: int, parameters: int, trainable: int, large_fov: int, plain: int
) -> None:
    assert count(built(classes=classes)) == parameters
    kept = built(classes=classes)
    hold_norms(kept, "frozen", None)
    assert count(kept, trainable=True) == trainable
    for head, expected in (("large_fov", large_fov), ("plain", plain)):
        assert count(built(classes=classes, head=head).classifiers) == expected


@pytest.mark.parametrize(
    ("head", "parameters"),
    [("large_fov", 20_505_429), ("aspp_s", 37_877_652), ("aspp_l", 37_877_652)],
)
def test_parameters_on_vgg16_are_those_of_the_paper(head: str, parameters: int) -> None:
    assert count(built("vgg16", head=head)) == parameters


def test_the_releases_resnet_is_an_option() -> None:
    model = built("resnet101_caffe")
    assert count(model) == 44_048_532
    for stage, rate in ((model.encoder.layer3, 2), (model.encoder.layer4, 4)):
        assert {unit.conv2.dilation[0] for unit in stage} == {rate}
    assert model.encoder.layer2[0].conv1.stride == (2, 2)
    images = torch.empty(1, 3, 321, 321, device="meta")
    assert model.encoder(images)[-1].shape[-2:] == (41, 41)  # Sec. 4.1.2


@pytest.mark.parametrize("architecture", ["deeplab_v2", "deeplab_v3", "pspnet"])
def test_with_the_stride_in_the_1x1_the_dilated_map_holds_the_strided_one(
    architecture: str,
) -> None:
    torch.manual_seed(0)
    options: dict[str, Option] = {"multi_grid": "none"} if architecture == "deeplab_v3" else {}
    coarse, dense = (
        build_model(
            architecture,
            encoder_name="resnet101_caffe",
            options={**options, "output_stride": output_stride},
        )
        .eval()
        .get_submodule("encoder")
        for output_stride in (32, 8)
    )
    for norm in (m for m in coarse.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.2, 0.6)
    dense.load_state_dict(coarse.state_dict())
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        found, expected = dense(images)[-1][..., ::4, ::4], coarse(images)[-1]
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_scales_share_their_weights() -> None:
    model = built(multi_scale=True)
    assert count(model) == 44_048_532
    assert isinstance(model, AttentionToScale)
    assert (model.scales, model.merge) == ((1.0, 0.75, 0.5), "max")


def test_rates_are_those_of_the_paper() -> None:
    for head, rates in (("aspp_l", (6, 12, 18, 24)), ("aspp_s", (2, 4, 8, 12))):
        on_resnet = built("resnet18", head=head).classifiers
        assert [(c.dilation[0], c.padding[0]) for c in on_resnet] == [(r, r) for r in rates]
        on_vgg = built("vgg16", head=head).encoder.classifier
        assert [(b[0].dilation[0], b[0].padding[0]) for b in on_vgg] == [(r, r) for r in rates]
    plain = built("resnet18", head="plain").classifiers
    assert [c.kernel_size for c in plain] == [(1, 1)]


def test_another_output_stride_keeps_the_pixels_between_the_taps() -> None:
    for output_stride in (8, 16):
        model = built("resnet18", output_stride=output_stride)
        rates = [c.dilation[0] for c in model.classifiers]
        assert [rate * output_stride for rate in rates] == [48, 96, 144, 192]
    assert scaled_rates((2, 4, 8, 12), 32) == (1, 1, 2, 3)


@pytest.mark.parametrize("encoder", ["resnet101", "vgg16"])
@pytest.mark.parametrize(("size", "cells"), [(321, 41), (241, 31), (161, 21), (513, 65)])
def test_maps_have_the_sizes_of_the_release(encoder: str, size: int, cells: int) -> None:
    with torch.device("meta"):
        scores = built(encoder).score(torch.empty(1, 3, size, size))
    assert scores.main.shape == (1, 21, cells, cells)


def test_every_unit_but_the_first_of_a_stage_has_the_rate_of_the_release() -> None:
    encoder = built().encoder
    for stage, before, rate in ((encoder.layer3, 1, 2), (encoder.layer4, 2, 4)):
        assert [unit.conv2.dilation[0] for unit in stage] == [before] + [rate] * (len(stage) - 1)
        assert {unit.conv2.stride for unit in stage} == {(1, 1)}


class Stage(nn.Module):
    """An encoder that hands the image through as its last stage."""

    channels = (3, 3, 3, 3, 4)
    strides = (1, 1, 1, 1, 1)
    output_stride = 1
    normalization = Normalization.for_channels(4)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images] * 5


def test_scores_are_the_sum_of_every_rate_alone() -> None:
    torch.manual_seed(0)
    model = DeepLabV2(Stage(), 3)
    x = torch.randn(2, 4, 30, 27)
    alone = []
    for classifier, rate in zip(model.classifiers, RATES["aspp_l"], strict=True):
        large_fov = DeepLabV2(Stage(), 3, rates=(rate,))
        large_fov.classifiers[0].load_state_dict(classifier.state_dict())
        alone.append(large_fov.score(x).main)
    found = model.score(x).main
    torch.testing.assert_close(found, alone[0] + alone[1] + alone[2] + alone[3])


def test_branches_on_vgg16_are_summed_after_their_classifiers() -> None:
    torch.manual_seed(0)
    model = build_model(
        "deeplab_v2", encoder_name="vgg16", classes=2, options={"fc_channels": 4}
    ).eval()
    images = torch.randn(1, 3, 41, 33)
    with torch.no_grad():
        pool5 = model.encoder(images)[-1]
        expected = torch.zeros(1, 2, 6, 5)
        for branch, fc8 in zip(model.encoder.classifier, model.fc8, strict=True):
            fc6 = functional.conv2d(
                pool5, branch[0].weight, branch[0].bias, 1, branch[0].padding, branch[0].dilation
            ).relu()
            fc7 = torch.einsum("oi,nihw->nohw", branch[3].weight[..., 0, 0], fc6).relu()
            expected += torch.einsum("ko,nohw->nkhw", fc8.weight[..., 0, 0], fc7)
        torch.testing.assert_close(model.score(images).main, expected, atol=1e-5, rtol=1e-5)


def test_a_large_rate_loses_taps_at_the_border() -> None:
    model = DeepLabV2(Stage(), 2, rates=(24,))
    nn.init.ones_(model.classifiers[0].weight)
    with torch.no_grad():
        taps = model.score(torch.ones(1, 4, 41, 41)).main[0, 0] / 4
    line = [1 + (i >= 24) + (i < 41 - 24) for i in range(41)]
    assert torch.equal(taps, torch.tensor(line)[:, None] * torch.tensor(line).float())


def test_batch_norm_trains() -> None:
    model = built("resnet18")
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.training and norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "plain"}, "no head='plain' at output stride 8; leave"),
        ({"output_stride": 16}, "no head='aspp_l' at output stride 16; leave"),
        ({"even_dilation": True}, "no even_dilation=True; leave it out"),
        ({"even_dilation": False}, "no even_dilation=False; leave it out"),
    ],
)
def test_what_vgg16_does_not_have_is_refused(options: dict[str, Option], message: str) -> None:
    with pytest.raises(InputError, match=f"deeplab_v2 on vgg16 has {message}"):
        built("vgg16", **options)


def test_a_resnet_has_no_fully_connected_layers() -> None:
    with pytest.raises(InputError, match="deeplab_v2 on resnet18 has no fc_channels=8; leave it"):
        built("resnet18", fc_channels=8)
    assert built("resnet18", fc_channels=1024).spec.options["fc_channels"] == 1024  # the default
