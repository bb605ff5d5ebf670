"""Networks by name, without disk and network: the literal dict of models and what builds them."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from atrous.errors import InputError, unknown
from atrous.labels import LabelSet
from atrous.models.attention_to_scale import attention_to_scale
from atrous.models.deeplab_v1 import deeplab_v1
from atrous.models.deeplab_v2 import deeplab_v2
from atrous.models.deeplab_v3 import deeplab_v3
from atrous.models.deeplab_v3_plus import deeplab_v3_plus
from atrous.models.fcn import fcn8s, fcn16s, fcn32s
from atrous.models.pspnet import pspnet
from atrous.models.refinenet import refinenet
from atrous.models.refinenet_light import refinenet_light
from atrous.models.segmentation_model import ModelSpec, Option, SegmentationModel
from atrous.models.segnet import segnet
from atrous.models.segnet_basic import segnet_basic
from atrous.models.unet import unet
from atrous.ops import Normalization

__all__ = ["MODELS", "ModelEntry", "build_model", "default_encoder", "model_options"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One network of the lineage.

    Attributes:
        build: (encoder_name, in_channels, num_classes, *, options) -> network; where `around`
            is given (network, num_classes, *, options) -> network.
        paper: Authors, venue and year.
        encoder: The default encoder; None is the paper's own.
        around: Of a network that works around another: which one ("network"), and with which
            options unlike its own defaults. The option `network` names any other instead.
    """

    build: Callable[..., SegmentationModel]
    paper: str
    encoder: str | None
    around: Mapping[str, Option] | None = None


_LONG = "Long, Shelhamer, Darrell, CVPR 2015"

MODELS: dict[str, ModelEntry] = {
    "attention_to_scale": ModelEntry(
        build=attention_to_scale,
        paper="Chen et al., CVPR 2016",
        encoder="vgg16",
        around={"network": "deeplab_v1", "pool5a": False},
    ),
    "deeplab_v1": ModelEntry(build=deeplab_v1, paper="Chen et al., ICLR 2015", encoder="vgg16"),
    "deeplab_v2": ModelEntry(
        build=deeplab_v2, paper="Chen et al., TPAMI 2017", encoder="resnet101"
    ),
    "deeplab_v3": ModelEntry(build=deeplab_v3, paper="Chen et al., arXiv 2017", encoder="resnet50"),
    "deeplab_v3_plus": ModelEntry(
        build=deeplab_v3_plus, paper="Chen et al., ECCV 2018", encoder="mobilenet_v2"
    ),
    "fcn16s": ModelEntry(build=fcn16s, paper=_LONG, encoder="vgg16"),
    "fcn32s": ModelEntry(build=fcn32s, paper=_LONG, encoder="vgg16"),
    "fcn8s": ModelEntry(build=fcn8s, paper=_LONG, encoder="vgg16"),
    "pspnet": ModelEntry(build=pspnet, paper="Zhao et al., CVPR 2017", encoder="resnet50s"),
    "refinenet": ModelEntry(build=refinenet, paper="Lin et al., CVPR 2017", encoder="resnet50"),
    "refinenet_light": ModelEntry(
        build=refinenet_light, paper="Nekrasov, Shen, Reid, BMVC 2018", encoder="resnet50"
    ),
    "segnet": ModelEntry(
        build=segnet, paper="Badrinarayanan, Kendall, Cipolla, TPAMI 2017", encoder="vgg16"
    ),
    "segnet_basic": ModelEntry(
        build=segnet_basic, paper="Badrinarayanan, Kendall, Cipolla, TPAMI 2017", encoder=None
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
        options: Variants of the network: the keyword-only parameters of its builder, and of the
            network that it works around.

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
    encoder_name = encoder_name or default_encoder(architecture, resolved)
    model = _built(entry, encoder_name, in_channels, classes, resolved)
    model.spec = ModelSpec(architecture, encoder_name, in_channels, classes, resolved)
    model.label_set = label_set
    model.normalization = _normalization(model, in_channels)
    return model


def default_encoder(architecture: str, options: Mapping[str, Option]) -> str | None:
    """Return a network's encoder, or that of the network which its options put it around."""
    return MODELS.get(str(options.get("network")), MODELS[architecture]).encoder


def model_options(architecture: str, *, network: Option = None) -> dict[str, Option]:
    """Return the options of a network with their defaults: its builder's keyword-only ones.

    Args:
        architecture: A name of `MODELS`.
        network: What it works around, if it does; the options of that one follow its own.

    Raises:
        InputError: It does not work around such a network.
    """
    entry = MODELS[architecture]
    if entry.around is None:
        return _own_options(entry)
    name = entry.around["network"] if network is None else network
    choices = [name for name, entry in MODELS.items() if entry.around is None]
    if name not in choices:
        raise unknown(f"network of {architecture}", str(name), choices, see="atrous models")
    unlike = entry.around if name == entry.around["network"] else {"network": name}
    return {**_own_options(entry), **model_options(str(name)), **unlike}


def _own_options(entry: ModelEntry) -> dict[str, Option]:
    """Return the keyword-only parameters of an entry's builder with their defaults."""
    parameters = inspect.signature(entry.build).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _built(
    entry: ModelEntry,
    encoder_name: str | None,
    in_channels: int,
    classes: int,
    options: Mapping[str, Option],
) -> SegmentationModel:
    """Call the builder, after that of the network which it works around."""
    own = {name: options[name] for name in _own_options(entry)}
    if entry.around is None:
        return entry.build(encoder_name, in_channels, classes, **own)
    inner = MODELS[str(options["network"])]
    return entry.build(_built(inner, encoder_name, in_channels, classes, options), classes, **own)


def _checked_options(architecture: str, options: Mapping[str, Option]) -> dict[str, Option]:
    """Return all options, the given ones in the place of their defaults."""
    defaults = model_options(architecture, network=options.get("network"))
    parts = [str(defaults.get("network", architecture)), architecture]
    hints = {k: v for part in parts for k, v in get_type_hints(MODELS[part].build).items()}
    hints["network"] = str  # of one that works around another: its name, checked above
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
    """Tell whether a value is of one of the types; numbers are finite, whole ones above 0."""
    if isinstance(value, float) or type(value) is int:
        least = 0 if float in kinds else 1
        whole = type(value) is int and int in kinds
        return (whole or float in kinds) and least <= value < math.inf
    return type(value) in kinds


_SAID: dict[object, str] = {
    bool: "true or false",
    float: "a finite number, not below 0",
    int: "a whole number above 0",
    NoneType: "nothing (its default)",
    str: "a text",
}


def _alternatives(hint: object) -> tuple[object, ...]:
    """Return the types and the literal values that a parameter's type hint allows."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(kind for part in get_args(hint) for kind in _alternatives(part))
    return get_args(hint) if get_origin(hint) is Literal else (hint,)


def _normalization(model: SegmentationModel, in_channels: int) -> Normalization:
    """Return what the network itself asks for, or else its encoder."""
    usual = Normalization.for_channels(in_channels)
    encoders = getattr(getattr(model, "encoder", None), "normalization", usual)
    return getattr(model, "normalization", encoders)
