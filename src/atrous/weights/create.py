"""A network by name, filled: what `atrous.create_model` is."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from atrous.errors import InputError, closest, closest_path
from atrous.models import (
    MODELS,
    ModelSpec,
    Option,
    SegmentationModel,
    build_model,
    model_options,
)
from atrous.weights.blueprint import blueprint
from atrous.weights.encoder_weights import load_encoder_weights
from atrous.weights.imagenet import check_published
from atrous.weights.tensor_files import read_metadata

__all__ = ["check_model", "create_model"]

WEIGHT_HABITS = {
    "default": "imagenet",
    "false": "none",
    "pretrained": "imagenet",
    "random": "none",
    "scratch": "none",
    "true": "imagenet",
}
"""What other tools call the two kinds of start."""


def create_model(
    name: str,
    *,
    encoder_name: str | None = None,
    encoder_weights: str | Path | None = None,
    in_channels: int = 3,
    classes: int = 21,
    **options: Option,
) -> SegmentationModel:
    """Build a network and fill its encoder.

    Args:
        name: A network that `atrous models` lists.
        encoder_name: An encoder that it lists; None is the network's default.
        encoder_weights: None (random), "imagenet" (fetched once, then cached), or a file with
            torchvision's or timm's keys (.safetensors, or .pth without code).
        in_channels: Channels of the images; RGB weights are adapted (`adapt_channels`).
        classes: Number of labels K, background included.
        options: The network's own; `padding="same"` for encoder weights that were trained so
            (the default where a weights file says so in its header).

    Raises:
        InputError: An unknown name or option, or weights of another network.
        WeightsUnreachable: "imagenet", and no connection.

    Example:
        >>> import torch
        >>> model = create_model("deeplab_v3_plus", encoder_name="mobilenet_v2", classes=11)
        >>> model(torch.zeros(1, 3, 97, 64)).shape
        torch.Size([1, 11, 97, 64])
    """
    model = _unfilled(name, encoder_name, encoder_weights, in_channels, classes, options)
    if encoder_weights is not None:
        for encoder in _encoders(model):
            load_encoder_weights(
                encoder, encoder_weights, in_channels=in_channels, name=str(model.spec.encoder_name)
            )
    return model


def check_model(
    name: str,
    *,
    encoder_name: str | None = None,
    encoder_weights: str | Path | None = None,
    options: Mapping[str, Option] | None = None,
) -> ModelSpec:
    """Refuse what `create_model` would refuse, without memory for a network and without a fetch.

    Takes milliseconds, and needs to know neither the channels nor the classes; whether a file's
    tensors fit is not looked at.

    Args:
        name: As in `create_model`, as all that follow.
        encoder_name: Which encoder.
        encoder_weights: What is to fill it.
        options: The network's own.

    Returns:
        The recipe of the network, with all options, for 3 channels and 2 classes.

    Raises:
        InputError: An unknown name or option, a choice that belongs to another network, no such
            file or no file of weights.
        WeightsUnreachable: "imagenet", and nobody has published any for this encoder.
    """
    with blueprint():
        model = _unfilled(name, encoder_name, encoder_weights, 3, 2, options or {})
    if encoder_weights is not None:
        _encoders(model)
    if str(encoder_weights) == "imagenet":
        check_published(str(model.spec.encoder_name))
    return model.spec


def _unfilled(
    name: str,
    encoder_name: str | None,
    encoder_weights: str | Path | None,
    in_channels: int,
    classes: int,
    options: Mapping[str, Option],
) -> SegmentationModel:
    """Build the network, with the padding that its weights were trained with."""
    if encoder_weights is not None:
        options = {**_padding_of(encoder_weights, name, options.get("network")), **options}
    return build_model(
        name, encoder_name=encoder_name, in_channels=in_channels, classes=classes, options=options
    )


def _encoders(model: SegmentationModel) -> tuple[nn.Module, ...]:
    """Return the parts that encoder weights fill."""
    if model.encoders:
        return model.encoders
    raise InputError(
        f"{model.spec.architecture} without encoder_name is the paper's own network, for which "
        "there are no encoder weights; name an encoder (all: atrous models) or leave "
        "encoder_weights out"
    )


def _check_weights(source: str | Path) -> None:
    """Require a file, or the one name that stands for files."""
    text = str(source)
    if Path(source).exists():
        return
    near = closest_path(Path(source))
    choices = ["imagenet", "none", *([str(near)] if near else [])]
    habit = WEIGHT_HABITS.get(text.lower())
    meant = habit or next(iter(closest(text, choices, count=1)), "")
    question = f"did you mean {meant}? " if meant else ""
    raise InputError(
        f"the file of weights {text} does not exist; {question}give imagenet, none, or a file"
    )


def _padding_of(source: str | Path, architecture: str, network: Option) -> dict[str, Option]:
    """Return the option `padding` that a weights file asks for in its header, if it does."""
    if str(source) == "imagenet" or architecture not in MODELS:
        return {}
    _check_weights(source)
    padding = read_metadata(Path(source)).get("padding")
    defaults = model_options(architecture, network=network)
    is_encoders = defaults.get("padding") == "symmetric"  # fcn8s has its own
    return {"padding": padding} if padding and is_encoders else {}
