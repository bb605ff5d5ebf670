"""segmentation_models_pytorch's names and arguments over our networks.

Code written for it runs with `import atrous.smp as smp`. The networks are its networks, departures
from the papers included, and their further arguments and defaults stand in
`atrous.weights.layouts.smp_arguments.DEFAULTS`. docs/smp.md says what differs.
"""

from pathlib import Path
from typing import cast

from torch import nn

from atrous.errors import InputError, unknown
from atrous.models import MODELS, SegmentationModel, model_options
from atrous.weights import create_model as _create_model
from atrous.weights import load, load_encoder_weights
from atrous.weights.layouts.smp_arguments import DEFAULTS, smp_recipe

__all__ = ["DeepLabV3", "DeepLabV3Plus", "PSPNet", "Unet", "create_model", "from_pretrained"]

_Weights = str | bool | None


def Unet(  # noqa: N802 - smp's name
    encoder_name: str = "resnet34",
    encoder_depth: int = 5,
    encoder_weights: _Weights = "imagenet",
    **arguments: object,
) -> SegmentationModel:
    """Return our `unet` on an encoder; the arguments are smp's."""
    return _network("Unet", encoder_name, encoder_weights, encoder_depth, arguments)


def DeepLabV3(  # noqa: N802 - smp's name
    encoder_name: str = "resnet34",
    encoder_depth: int = 5,
    encoder_weights: _Weights = "imagenet",
    **arguments: object,
) -> SegmentationModel:
    """Return our `deeplab_v3` as smp has it; the arguments are smp's."""
    return _network("DeepLabV3", encoder_name, encoder_weights, encoder_depth, arguments)


def DeepLabV3Plus(  # noqa: N802 - smp's name
    encoder_name: str = "resnet34",
    encoder_depth: int = 5,
    encoder_weights: _Weights = "imagenet",
    **arguments: object,
) -> SegmentationModel:
    """Return our `deeplab_v3_plus` as smp has it; the arguments are smp's."""
    return _network("DeepLabV3Plus", encoder_name, encoder_weights, encoder_depth, arguments)


def PSPNet(  # noqa: N802 - smp's name
    encoder_name: str = "resnet34",
    encoder_weights: _Weights = "imagenet",
    encoder_depth: int = 3,
    **arguments: object,
) -> SegmentationModel:
    """Return our `pspnet` as smp has it; the arguments are smp's."""
    return _network("PSPNet", encoder_name, encoder_weights, encoder_depth, arguments)


def create_model(
    arch: str,
    encoder_name: str = "resnet34",
    encoder_weights: _Weights = "imagenet",
    in_channels: int = 3,
    classes: int = 1,
    **kwargs: object,
) -> SegmentationModel:
    """Return a network by smp's name in lower case, such as "unet" or "deeplabv3plus".

    Raises:
        InputError: A network, an encoder or an argument that we do not have.
    """
    names = {name.lower(): name for name in DEFAULTS}
    if arch.lower() not in names:
        raise unknown("architecture shared with segmentation_models_pytorch", arch, names)
    arguments = {"in_channels": in_channels, "classes": classes, **kwargs}
    name = names[arch.lower()]
    depth = arguments.pop("encoder_depth", DEFAULTS[name].get("encoder_depth", 5))
    return _network(name, encoder_name, encoder_weights, depth, arguments)


def from_pretrained(folder: str | Path) -> SegmentationModel:
    """Return a model that smp's `save_pretrained` wrote, or one of ours; a folder or a hub id."""
    return load(folder)


def _network(
    name: str, encoder_name: str, weights: _Weights, depth: object, arguments: dict[str, object]
) -> SegmentationModel:
    """Build and fill a network from smp's arguments."""
    if weights not in (None, True, False, "imagenet"):
        raise InputError(f"encoder_weights is {weights!r}; give 'imagenet' or None")
    given = {"encoder_name": encoder_name, "encoder_depth": depth, **arguments}
    architecture, encoder, options = smp_recipe(name, given)
    in_channels = cast("int", given.get("in_channels", 3))
    classes = cast("int", given.get("classes", 1))
    source = "imagenet" if weights else None
    if classes > 1:
        return _create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights=source,
            in_channels=in_channels,
            classes=classes,
            **options,
        )
    options = {**model_options(architecture), **options}  # one map, for a sigmoid of the caller's
    model = MODELS[architecture].build(encoder, in_channels, classes, **options)
    if source:
        assert isinstance(model.encoder, nn.Module)
        load_encoder_weights(model.encoder, source, in_channels=in_channels, name=encoder)
    return model
