"""What holds for every network of `MODELS`, checked on small versions of them."""

import io

import pytest
import torch
from torch import nn

from atrous.models import MODELS, Option, Scores, SegmentationModel, build_model

SMALL: dict[str, tuple[str | None, dict[str, Option]]] = {
    "attention_to_scale": ("vgg16", {"fc_channels": 8, "attention_channels": 8}),
    "deeplab_v1": ("vgg16", {"fc_channels": 8}),
    "deeplab_v2": ("vgg16", {"fc_channels": 8}),
    "deeplab_v3_plus": ("mobilenet_v2_035", {"aspp_channels": 8, "decoder_channels": 8}),
    "fcn16s": ("googlenet", {"deconvolution": "learned"}),
    "fcn32s": ("alexnet", {"fc_channels": 8, "padding": "same"}),
    "fcn8s": ("vgg16", {"fc_channels": 8, "padding": "same"}),
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
    ("deeplab_v3_plus", "resnet18", {"aspp_channels": 8, "output_stride": 8}),
    ("deeplab_v3_plus", "mobilenet_v2_035", {"aspp_channels": 8, "padding": "same"}),
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
    ("unet", None, {"base_channels": 4}),
    ("unet", "googlenet", {"base_channels": 4}),
    ("unet", "mobilenet_v2_035", {"base_channels": 4}),
]
ALL = [(name, *small) for name, small in SMALL.items()] + FURTHER


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
            images = torch.empty(2, 2, *size)
            for _ in range(2):
                assert model(images).shape == (2, 5, *size)
                model.eval()
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
    model(torch.randn(1, 3, 65, 79)).square().mean().backward()
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
def test_single_precision_agrees_with_double(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).eval()
    disturb(model)
    images = torch.randn(1, 3, 50, 38)
    with torch.no_grad():
        single = model(images)
        double = model.double()(images.double())
    assert double.dtype == torch.float64
    error = (single - double).abs().max()
    assert error < 1e-4 * double.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder", "options"), ALL)
def test_the_network_is_one_graph_that_gives_the_same_logits(
    name: str, encoder: str | None, options: dict[str, Option]
) -> None:
    model = made(name, encoder, options).eval()
    disturb(model)
    images = torch.randn(2, 3, 50, 38)
    with torch.no_grad():
        expected = model(images)
        exported = torch.export.export(model, (images,), strict=True)  # Dynamo, without a break
        torch.testing.assert_close(exported.module()(images), expected)
