import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.models import (
    MODELS,
    Option,
    Scores,
    SegmentationModel,
    build_model,
    default_encoder,
    model_options,
)
from atrous.models.attention_to_scale import AttentionToScale
from atrous.ops import Normalization


class Small(SegmentationModel):
    """Scores at stride 2 of a smooth feature map, and a second head."""

    feature_channels = 4

    def __init__(self, *, align_corners: bool = True, features: bool = True) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.feature_channels = 4 if features else 0
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.head = nn.Conv2d(4, 2, 1)
        self.seen: list[Tensor] = []
        self.said: list[Scores] = []

    def score(self, images: Tensor) -> Scores:
        x = self.stem(images).relu()
        scores = Scores(self.head(x), (-self.head(x),), features=x)
        if not self.feature_channels:
            scores = scores._replace(features=None)
        for tensor in (x, scores.main):
            tensor.retain_grad()
        self.seen.append(images)
        self.said.append(scores)
        return scores


def wrapped(**options: object) -> AttentionToScale:
    torch.manual_seed(0)
    inner = {key: options.pop(key) for key in ("align_corners", "features") if key in options}
    model = AttentionToScale(Small(**inner), 2, attention_channels=8, **options)  # type: ignore[arg-type]
    return model.eval()


def built(**options: Option) -> SegmentationModel:
    classes = options.pop("classes", 21)
    assert isinstance(classes, int)
    with torch.device("meta"):
        return build_model("attention_to_scale", classes=classes, options=options)


def lifted(x: Tensor, size: torch.Size, *, align_corners: bool = True) -> Tensor:
    return functional.interpolate(x, size, mode="bilinear", align_corners=align_corners)


@pytest.mark.parametrize(
    ("classes", "scales", "parameters"),
    [
        (21, "1+0.75+0.5", 34_663_256),
        (21, "1+0.5", 29_944_151),
        (7, "1+0.75+0.5", 34_648_906),
        (81, "1+0.75+0.5", 34_724_756),
    ],
)
def test_parameters_are_those_of_the_paper(classes: int, scales: str, parameters: int) -> None:
    model = built(classes=classes, scales=scales)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("scales", "parameters"), [("1+0.75+0.5", 14_157_827), ("1+0.5", 9_438_722)]
)
def test_parameters_of_the_attention_are_those_of_the_release(scales: str, parameters: int) -> None:
    assert sum(p.numel() for p in built(scales=scales).attention.parameters()) == parameters
    for merge in ("max", "average"):
        without = built(scales=scales, merge=merge)
        assert sum(p.numel() for p in without.parameters()) == 20_505_429


def test_the_network_is_large_fov_without_the_average_before_fc6() -> None:
    assert model_options("deeplab_v1")["fc6"] == "large_fov"
    for options, average in (({}, False), ({"pool5a": True}, True)):
        last = built(**options).network.encoder.features[-1]
        assert isinstance(last, nn.AvgPool2d) == average


@pytest.mark.parametrize(
    ("size", "sizes", "cells"),
    [(321, [321, 241, 161], [41, 31, 21]), (513, [513, 385, 257], [65, 49, 33])],
)
def test_sizes_of_the_scales_are_those_of_the_release(
    size: int, sizes: list[int], cells: list[int]
) -> None:
    model, seen = built(), []
    model.network.encoder.features[0].register_forward_pre_hook(
        lambda _, images: seen.append(images[0].shape[-1])
    )
    with torch.device("meta"):
        scores = model.score(torch.empty(2, 3, size, size))
    assert seen == sizes
    assert [scale.shape[-1] for scale in scores.auxiliary] == cells
    assert scores.main.shape == (2, 21, cells[0], cells[0])
    assert scores.attention is not None
    assert scores.attention.shape == (2, 3, cells[0], cells[0])


def test_half_of_an_image_that_fits_is_every_second_pixel() -> None:
    model = wrapped(scales=(1.0, 0.5))
    images = torch.randn(1, 3, 33, 65)
    model.score(images)
    whole, half = model.network.seen
    assert whole is images
    torch.testing.assert_close(half, images[..., ::2, ::2])


def test_without_aligned_corners_half_is_the_mean_of_two_by_two() -> None:
    model = wrapped(scales=(1.0, 0.5), align_corners=False)
    images = torch.randn(1, 3, 32, 48)
    model.score(images)
    torch.testing.assert_close(model.network.seen[1], functional.avg_pool2d(images, 2))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("merge", ["attention", "average", "max"])
def test_merging_is_what_a_slow_loop_does(merge: str, align_corners: bool) -> None:
    model = wrapped(merge=merge, align_corners=align_corners, scales=(1.0, 0.75, 0.5))
    if merge == "attention":
        nn.init.normal_(model.attention[3].weight)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "retain_grad", lambda _: None)
        scores = model.score(torch.randn(1, 3, 33, 41))
    said = model.network.said
    size = said[0].main.shape[-2:]
    maps = [lifted(one.main, size, align_corners=align_corners) for one in said]
    if merge == "attention":
        x = torch.cat([lifted(s.features, size, align_corners=align_corners) for s in said], 1)
        heights = model.attention(x)
        assert scores.attention is not None
    for i in range(size[0]):
        for j in range(size[1]):
            values = [[float(m[0, c, i, j]) for m in maps] for c in range(2)]
            if merge == "max":
                expected = [max(of_scales) for of_scales in values]
            else:
                h = heights[0, :, i, j].tolist() if merge == "attention" else [0.0] * 3
                weights = [math.exp(a) / sum(math.exp(b) for b in h) for a in h]
                expected = [sum(w * v for w, v in zip(weights, s, strict=True)) for s in values]
                if merge == "attention":
                    assert scores.attention[0, :, i, j].tolist() == pytest.approx(weights, abs=1e-5)
            assert scores.main[0, :, i, j].tolist() == pytest.approx(expected, abs=1e-5)


def test_attention_begins_as_the_average_and_sums_to_one() -> None:
    attentive, average = wrapped(), wrapped(merge="average")
    images = torch.randn(2, 3, 33, 49)
    scores = attentive.score(images)
    torch.testing.assert_close(scores.main, average.score(images).main)
    assert average.score(images).attention is None
    assert wrapped(merge="max").score(images).attention is None

    nn.init.normal_(attentive.attention[3].weight)
    weights = attentive.score(images).attention
    assert weights is not None
    assert weights.min() >= 0
    assert weights.std() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 17, 25))


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_a_scale_that_takes_all_attention_gives_its_own_scores(chosen: int) -> None:
    model = wrapped()
    model.attention[3].bias.data[chosen] = 1e4
    scores = model.score(torch.randn(1, 3, 33, 33))
    expected = lifted(scores.auxiliary[chosen], scores.main.shape[-2:])
    torch.testing.assert_close(scores.main, expected)


@pytest.mark.parametrize("merge", ["attention", "average", "max"])
def test_equal_scales_give_the_scores_of_one(merge: str) -> None:
    model = wrapped(merge=merge, scales=(1.0, 1.0, 1.0))
    if merge == "attention":
        nn.init.normal_(model.attention[3].weight)
    images = torch.randn(1, 3, 40, 34)
    torch.testing.assert_close(model.score(images).main, model.network.score(images).main)


def test_the_merged_scores_teach_features_and_scores_of_every_scale() -> None:
    model = wrapped()
    nn.init.normal_(model.attention[3].weight)
    for parameter in model.network.head.parameters():
        parameter.requires_grad_(False)
    model.score(torch.randn(1, 3, 33, 33)).main.square().sum().backward()
    for said in model.network.said:
        assert said.main.grad is not None  # through the product
        assert said.main.grad.any()
        through_scores = torch.einsum(
            "nkhw,kf->nfhw", said.main.grad, model.network.head.weight[..., 0, 0]
        )
        assert said.features is not None
        assert said.features.grad is not None  # that, and through the attention
        assert not torch.allclose(said.features.grad, through_scores)


def test_every_scale_is_supervised_then_what_the_network_supervises() -> None:
    images = torch.randn(1, 3, 33, 33)
    model = wrapped()
    auxiliary, said = model.score(images).auxiliary, model.network.said
    expected = [one.main for one in said] + [one.auxiliary[0] for one in said]
    assert len(auxiliary) == 6
    assert all(map(torch.equal, auxiliary, expected))

    model = wrapped(extra_supervision=False)
    auxiliary = model.score(images).auxiliary
    assert len(auxiliary) == 3
    assert all(map(torch.equal, auxiliary, [one.auxiliary[0] for one in model.network.said]))


@pytest.mark.parametrize(
    ("network", "inner"), [("pspnet", 0.4), ("deeplab_v3", 0.5), ("deeplab_v1", None)]
)
@pytest.mark.parametrize("extra_supervision", [True, False])
def test_the_networks_own_auxiliary_scores_keep_its_weight(
    network: str, inner: float | None, extra_supervision: bool
) -> None:
    options: dict[str, Option] = {"auxiliary": True} if inner else {}
    model = built(network=network, extra_supervision=extra_supervision, **options).train()
    with torch.device("meta"):
        count = len(model.score(torch.empty(2, 3, 65, 65)).auxiliary)
    scales = (1.0,) * 3 if extra_supervision else ()
    own = (inner,) * 3 if inner else ()
    assert model.auxiliary_weights(count) == scales + own
    assert model.network.auxiliary_weights(1) == (inner or 1.0,)


def test_a_network_without_features_is_judged_by_its_scores() -> None:
    model = wrapped(features=False)
    assert model.attention[0].in_channels == 3 * 2
    assert model.score(torch.randn(1, 3, 33, 33)).attention is not None


def test_corners_and_encoder_are_those_of_the_network() -> None:
    around_v1, around_v3_plus = built(), built(network="deeplab_v3_plus")
    assert around_v1.align_corners
    assert not around_v3_plus.align_corners
    assert around_v1.encoder is around_v1.network.encoder
    assert around_v3_plus.spec.encoder_name == "mobilenet_v2"
    assert built(network="unet").encoder is None
    assert default_encoder("attention_to_scale", {}) == "vgg16"
    assert default_encoder("attention_to_scale", {"network": "unet"}) is None
    basic = Normalization((0.0,) * 3, (1 / 255,) * 3)  # its own, not an encoder's
    assert built(network="segnet_basic").normalization == basic
    assert not any(key.startswith("encoder.") for key in around_v1.state_dict())


def test_every_encoder_of_the_network_is_one_of_its_own() -> None:
    """Or public weights, freezing and kept norms would miss RefineNet's second one."""
    options = {"network": "refinenet", "variant": "4-cascaded 2-scale"}
    with torch.device("meta"):
        model = build_model("attention_to_scale", encoder_name="resnet18", options=options)
    assert isinstance(model, AttentionToScale)
    assert len(model.encoders) == 2
    assert model.encoders == model.network.encoders


@pytest.mark.parametrize("align_corners", [True, False])
def test_an_image_of_one_pixel_has_its_scales(align_corners: bool) -> None:
    model = wrapped(align_corners=align_corners)
    assert model(torch.rand(1, 3, 1, 5)).shape == (1, 2, 1, 5)


def test_options_are_its_own_and_those_of_its_network() -> None:
    model = built(network="deeplab_v3_plus", output_stride=8, merge="max", scales="1+1.5")
    assert (model.network.encoder.output_stride, model.merge, model.scales) == (8, "max", (1, 1.5))
    recorded = model.spec.options
    assert recorded.keys() == {
        *("network", "scales", "merge", "extra_supervision", "attention_channels"),
        *model_options("deeplab_v3_plus"),
    }
    again = built(**recorded)
    assert again.spec == model.spec


def test_every_network_fits_and_shares_no_option() -> None:
    own = model_options("attention_to_scale").keys() - model_options("deeplab_v1").keys()
    for name, entry in MODELS.items():
        if entry.around is None:
            assert not own & model_options(name).keys()
            options = model_options("attention_to_scale", network=name)
            assert options["network"] == name
            assert options.keys() == own | model_options(name).keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": "1;0.5"}, "scales are '1;0.5'; give numbers above 0, at most 4, joined by"),
        ({"scales": "1+0"}, r"scales are '1\+0'; give numbers above 0"),
        ({"scales": "1+nan"}, r"scales are '1\+nan'; give numbers above 0"),
        ({"scales": 2}, "scales of attention_to_scale is 2; give a text"),
        ({"merge": "mean"}, "merge of attention_to_scale is 'mean'; give 'attention' or"),
        ({"network": "deeplabv3+"}, r"unknown network of attention_to_scale 'deeplabv3\+'"),
        ({"network": "attention_to_scale"}, "unknown network of attention_to_scale 'attention_to"),
        ({"network": "unet", "fc6": "7x7"}, "unknown option of attention_to_scale 'fc6'"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(options: dict[str, Option], message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(**options)
