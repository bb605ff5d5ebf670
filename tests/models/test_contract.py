"""What holds for every network of `MODELS`, checked on small versions of them."""

import copy
import io

import pytest
import torch
from torch import nn

from atrous.models import MODELS, Option, Scores, SegmentationModel, build_model

SMALL: dict[str, tuple[str | None, dict[str, Option]]] = {
    "attention_to_scale": ("vgg16", {"fc_channels": 8, "attention_channels": 8}),
    "deeplab_v1": ("vgg16", {"fc_channels": 8}),
    "deeplab_v2": ("vgg16", {"fc_channels": 8}),
    "deeplab_v3": ("resnet18", {"aspp_channels": 8, "refine": True}),
    "deeplab_v3_plus": ("mobilenet_v2_035", {"aspp_channels": 8, "decoder_channels": 8}),
    "fcn16s": ("googlenet", {"deconvolution": "learned"}),
    "fcn32s": ("alexnet", {"fc_channels": 8, "padding": "same"}),
    "fcn8s": ("vgg16", {"fc_channels": 8, "padding": "same"}),
    "pspnet": ("test_resnet", {"channels": 8}),
    "refinenet": ("test_resnet", {"channels": 16}),
    "refinenet_light": ("test_resnet", {"channels": 16}),
    "segnet": ("vgg16", {"base_channels": 4}),
    "segnet_basic": (None, {"channels": 4}),
    "unet": (None, {"base_channels": 4, "padding": "same"}),
}
FURTHER: list[tuple[str, str | None, dict[str, Option]]] = [
    (
        "attention_to_scale",
        "mobilenet_v2_035",
        {"network": "deeplab_v3_plus", "aspp_channels": 8, "attention_channels": 8},
    ),
    (
        "attention_to_scale",
        None,
        {"network": "unet", "base_channels": 4, "padding": "same", "merge": "average"},
    ),
    ("deeplab_v1", "vgg16", {"fc6": "7x7", "fc_channels": 8}),
    ("deeplab_v1", "vgg16", {"fc6": "4x4", "fc_channels": 8, "msc": True}),
    ("deeplab_v2", "resnet18", {"multi_scale": True}),
    ("deeplab_v3", "resnet18", {"form": "cascade", "output_stride": 8, "align_corners": True}),
    ("deeplab_v3", "mobilenet_v2_035", {"aspp_channels": 8, "rates": "none"}),
    ("deeplab_v3_plus", "resnet18", {"aspp_channels": 8, "output_stride": 8}),
    ("deeplab_v3_plus", "mobilenet_v2_035", {"aspp_channels": 8, "padding": "same"}),
    ("deeplab_v3_plus", "xception41", {"aspp_channels": 8, "output_stride": 8}),
    ("deeplab_v3_plus", "convnext_atto", {"aspp_channels": 8, "output_stride": 32}),
    ("fcn32s", "caffenet", {"fc_channels": 8}),
    ("fcn8s", "alexnet", {"fc_channels": 8, "padding": "same", "scaling": "at_once"}),
    ("fcn8s", "bvlc_googlenet", {}),
    ("fcn8s", "resnet18", {}),
    ("segnet", "vgg16_bn", {"base_channels": 4, "dropout": "encoder_decoder"}),
    ("segnet_basic", None, {"channels": 4, "decoder": "encoder_addition_before_pooling"}),
    ("segnet_basic", None, {"channels": 4, "decoder": "single_channel", "bias": True}),
    ("segnet_basic", None, {"channels": 4, "decoder": "bilinear"}),
    ("segnet_basic", None, {"channels": 4, "decoder": "fcn"}),
    ("segnet_basic", None, {"channels": 4, "decoder": "fcn_no_dim_reduction"}),
    ("pspnet", "resnet18", {"channels": 8, "reduce": False, "pool": "max", "align_corners": True}),
    ("pspnet", "mobilenet_v2_035", {"channels": 8, "output_stride": 16, "bins": "B1"}),
    ("refinenet", "test_resnet", {"channels": 16, "variant": "single", "conv_first": True}),
    ("refinenet", "test_resnet", {"channels": 16, "variant": "2-cascaded", "enlargement": 1.0}),
    ("refinenet", "test_resnet", {"channels": 16, "variant": "4-cascaded 2-scale"}),
    ("refinenet_light", "mobilenet_v2_035", {"channels": 16, "pooling_blocks": 2}),
    ("unet", None, {"base_channels": 4}),
    ("unet", "googlenet", {"base_channels": 4}),
    ("unet", "mobilenet_v2_035", {"base_channels": 4}),
]
ALL = [(name, *small) for name, small in SMALL.items()] + FURTHER
TRACED = [pytest.param(*row, marks=[pytest.mark.slow] * (row in FURTHER)) for row in ALL]
"""Tracing takes seconds a network: the further ones are left to the slow set."""


def made(
    name: str, encoder: str | None, options: dict[str, Option], *, in_channels: int = 3
) -> SegmentationModel:
    torch.manual_seed(0)
    return build_model(
        name, encoder_name=encoder, in_channels=in_channels, classes=5, options=options
    )


def disturb(network: nn.Module) -> None:
    """Move what begins at zero (FCN's scores, a ResNet's last norms) so that gradients flow."""
    for parameter in network.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.1)


def test_every_network_has_a_small_version_here() -> None:
    assert list(SMALL) == sorted(MODELS)


@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_any_size_and_number_of_channels_gives_logits_at_input_size(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    with torch.device("meta"):
        model = made(name, encoder, options, in_channels=2)
        for size in ((33, 47), (64, 64), (97, 40)):
            for training, batch in ((True, 1), (False, 2)):
                images = torch.empty(batch, 2, *size)
                assert model.train(training)(images).shape == (batch, 5, *size)
            scores = model.score(images)
            assert isinstance(scores, Scores)
            assert scores.main.shape[:2] == (2, 5)
            channels = 0 if scores.features is None else scores.features.shape[1]
            assert channels == model.feature_channels


@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_a_batch_of_one_trains_every_parameter(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).train()
    disturb(model)
    scores = model.score(torch.randn(1, 3, 65, 79))
    sum(score.square().mean() for score in (scores.main, *scores.auxiliary)).backward()
    still = [
        key
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert still == []


@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_prediction_is_repeatable_and_survives_saving(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    first = made(name, encoder, options).eval()
    disturb(first)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    spec = first.spec
    second = build_model(
        spec.architecture,
        encoder_name=spec.encoder_name,
        in_channels=spec.in_channels,
        classes=spec.classes,
        options=spec.options,
    ).eval()
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(1, 3, 50, 38)
    with torch.no_grad():
        logits = first(images)
        torch.testing.assert_close(first(images), logits, atol=0, rtol=0)
        torch.testing.assert_close(second(images), logits, atol=0, rtol=0)


@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_images_of_a_batch_do_not_see_each_other_in_prediction(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).eval()
    disturb(model)
    images = torch.randn(2, 3, 48, 33)
    with torch.no_grad():
        together = model(images)
        torch.testing.assert_close(model(images[1:]), together[1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_float32_agrees_with_float64(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).eval()
    disturb(model)
    images = torch.randn(1, 3, 65, 79)
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
        error = (model(images).double() - exact).abs().max() / exact.abs().max()
    assert exact.any()
    assert error < 1e-4


@pytest.mark.parametrize(("name", "encoder", "options"), TRACED)
def test_exporting_saving_and_loading_keep_the_logits(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).eval()
    disturb(model)
    images, file = torch.randn(1, 3, 33, 47), io.BytesIO()
    with torch.no_grad():
        torch.export.save(torch.export.export(model, (images,)), file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        torch.testing.assert_close(loaded(images), model(images))


@pytest.mark.parametrize("training", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "encoder", "options"), TRACED)
def test_the_network_is_one_graph_to_the_compiler(
    name: str, encoder: str | None, options: dict[str, Option], training: bool
) -> None:
    torch.compiler.reset()
    model = made(name, encoder, options).train(training)
    disturb(model)
    images = torch.randn(2, 3, 33, 47)
    compiled = torch.compile(model.score, fullgraph=True, backend="eager")
    with torch.random.fork_rng(), torch.no_grad():
        found = compiled(images)
    with torch.random.fork_rng(), torch.no_grad():
        expected = model.score(images)
    assert len(found.auxiliary) == len(expected.auxiliary)
    torch.testing.assert_close(found.main, expected.main)


QUICK = ("fcn32s", "fcn8s")  # the others take up to a minute each


@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [
        pytest.param(name, *small, marks=[pytest.mark.slow] * (name not in QUICK))
        for name, small in SMALL.items()
    ],
)
def test_compiled_gradients_are_those_of_the_network(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    torch.compiler.reset()
    model = made(name, encoder, options).train()
    disturb(model)
    images = torch.randn(2, 3, 33, 47)
    found: list[dict[str, torch.Tensor]] = []
    for score in (model.score, torch.compile(model.score, fullgraph=True, backend="aot_eager")):
        model.zero_grad()
        with torch.random.fork_rng():  # the same dropout
            scores = score(images)
        sum(part.square().mean() for part in (scores.main, *scores.auxiliary)).backward()
        found.append({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    expected, compiled = found
    assert compiled.keys() == expected.keys()
    for key, gradient in expected.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(compiled[key], gradient, atol=1e-4 * scale + 1e-8, rtol=1e-3)
