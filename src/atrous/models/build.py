"""Networks by name, without disk and network: the literal dict of models and what builds them."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from atrous.errors import InputError, unknown
from atrous.labels import LabelSet
from atrous.models.deeplab_v3_plus import deeplab_v3_plus
from atrous.models.fcn import fcn8s
from atrous.models.pspnet import pspnet
from atrous.models.refinenet import refinenet
from atrous.models.refinenet_light import refinenet_light
from atrous.models.segmentation_model import ModelSpec, Option, SegmentationModel
from atrous.models.unet import unet
from atrous.ops import Normalization

__all__ = ["MODELS", "ModelEntry", "build_model", "model_options"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One network of the lineage.

    Attributes:
        build: (encoder_name, in_channels, num_classes, *, options) -> network.
        paper: Authors, venue and year.
        encoder: The default encoder; None is the paper's own.
    """

    build: Callable[..., SegmentationModel]
    paper: str
    encoder: str | None


MODELS: dict[str, ModelEntry] = {
    "deeplab_v3_plus": ModelEntry(
        build=deeplab_v3_plus, paper="Chen et al., ECCV 2018", encoder="mobilenet_v2"
    ),
    "fcn8s": ModelEntry(build=fcn8s, paper="Long, Shelhamer, Darrell, CVPR 2015", encoder="vgg16"),
    "pspnet": ModelEntry(build=pspnet, paper="Zhao et al., CVPR 2017", encoder="resnet50s"),
    "refinenet": ModelEntry(build=refinenet, paper="Lin et al., CVPR 2017", encoder="resnet50"),
    "refinenet_light": ModelEntry(
        build=refinenet_light, paper="Nekrasov, Shen, Reid, BMVC 2018", encoder="resnet50"
    ),
    "unet": ModelEntry(build=unet, paper="Ronneberger, Fischer, Brox, MICCAI 2015", encoder=None),
}


def build_model(
    architecture: str,
    *,
    encoder_name: str | None = None,
    in_channels: int = 3,
    classes: int = 21,
    options: Mapping[str, Option] | None = None,
) -> SegmentationModel:
    """Build a network with random weights, numbered classes and the encoder's normalisation.

    Args:
        architecture: A name of `MODELS`.
        encoder_name: None is the network's default.
        in_channels: Channels of the images.
        classes: Number of labels K, background included, 2 to 255.
        options: Variants of the network: the keyword-only parameters of its builder.

    Raises:
        InputError: An unknown model, encoder or option, or an option of the wrong kind.
    """
    if architecture not in MODELS:
        raise unknown("model", architecture, MODELS, see="atrous models")
    if in_channels < 1:
        raise InputError(f"in_channels is {in_channels}; images have at least one channel")
    entry = MODELS[architecture]
    label_set = LabelSet.numbered(classes)
    resolved = _checked_options(architecture, options or {})
    encoder_name = encoder_name or entry.encoder
    model = entry.build(encoder_name, in_channels, classes, **resolved)
    model.spec = ModelSpec(architecture, encoder_name, in_channels, classes, resolved)
    model.label_set = label_set
    model.normalization = _normalization(model, in_channels)
    return model


def model_options(architecture: str) -> dict[str, Option]:
    """Return the options of a network with their defaults: its builder's keyword-only ones."""
    parameters = inspect.signature(MODELS[architecture].build).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _checked_options(architecture: str, options: Mapping[str, Option]) -> dict[str, Option]:
    """Return all options, the given ones in the place of their defaults."""
    defaults = model_options(architecture)
    hints = get_type_hints(MODELS[architecture].build)
    for name, value in options.items():
        if name not in defaults:
            raise unknown(f"option of {architecture}", name, defaults)
        kinds = _alternatives(hints[name])
        if value in [kind for kind in kinds if isinstance(kind, str)]:
            continue
        if not _fits(value, kinds):
            raise InputError(
                f"option {name} of {architecture} is {value!r}; "
                f"give {' or '.join(_SAID.get(kind, repr(kind)) for kind in kinds)}"
            )
    return {**defaults, **options}


def _fits(value: Option, kinds: tuple[object, ...]) -> bool:
    """Tell whether a value is of one of the types; numbers are finite and above 0."""
    if isinstance(value, float) or type(value) is int:
        whole = type(value) is int and int in kinds
        return (whole or float in kinds) and 0 < value < math.inf
    return type(value) in kinds


_SAID: dict[object, str] = {
    bool: "true or false",
    float: "a number above 0",
    int: "a whole number above 0",
    NoneType: "nothing (its default)",
}


def _alternatives(hint: object) -> tuple[object, ...]:
    """Return the types and the literal values that a parameter's type hint allows."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(kind for part in get_args(hint) for kind in _alternatives(part))
    return get_args(hint) if get_origin(hint) is Literal else (hint,)


def _normalization(model: SegmentationModel, in_channels: int) -> Normalization:
    encoder = getattr(model, "encoder", None)
    return getattr(encoder, "normalization", Normalization.for_channels(in_channels))
