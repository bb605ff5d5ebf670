"""A network by name, filled: what `atrous.create_model` is."""

from pathlib import Path

from atrous.errors import InputError
from atrous.models import MODELS, Option, SegmentationModel, build_model, model_options
from atrous.weights.encoder_weights import load_encoder_weights
from atrous.weights.tensor_files import read_metadata

__all__ = ["create_model"]


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
    if encoder_weights is not None:
        options = {**_padding_of(encoder_weights, name), **options}
    model = build_model(
        name, encoder_name=encoder_name, in_channels=in_channels, classes=classes, options=options
    )
    if encoder_weights is None:
        return model
    if not model.encoders:
        raise InputError(
            f"{name} without encoder_name is the paper's own network, for which there are no "
            "encoder weights; name an encoder (all: atrous models) or leave encoder_weights out"
        )
    for encoder in model.encoders:
        load_encoder_weights(
            encoder, encoder_weights, in_channels=in_channels, name=str(model.spec.encoder_name)
        )
    return model


def _padding_of(source: str | Path, architecture: str) -> dict[str, Option]:
    """Return the option `padding` that a weights file asks for in its header, if it does."""
    if str(source) == "imagenet" or architecture not in MODELS:
        return {}
    padding = read_metadata(Path(source)).get("padding")
    is_encoders = model_options(architecture).get("padding") == "symmetric"  # fcn8s has its own
    return {"padding": padding} if padding and is_encoders else {}
