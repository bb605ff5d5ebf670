"""segmentation_models_pytorch: its U-Net, DeepLab v3 and v3+, by arguments or by their keys.

Its DeepLabs depart from the papers, and our options follow: rates 12, 24 and 36 at any output
stride, every unit of a dilated stage dilated, no multi-grid, one more 3x3 after the ASPP, dropout
0.5, aligned corners; in v3+ separable convolutions without norm between their halves, and one
refining convolution instead of two. Its MobileNetV2 keeps the layer of 1280 channels.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from torch import Tensor

from atrous.encoders import ENCODERS
from atrous.errors import InputError, unknown
from atrous.models import Option
from atrous.weights.layouts.foreign import (
    ForeignModel,
    aspp_names,
    image_level_first,
    renamed,
    resnet_name,
)

__all__ = ["DEFAULTS", "smp_model", "smp_recipe"]

ORIGIN = "segmentation_models_pytorch"
PARAMETERS: tuple[str, ...] = ("encoder_name", "encoder_weights", "in_channels", "classes")
"""Arguments that every network of smp has and that are not options of ours."""

ONLY: dict[str, tuple[object, ...]] = {
    "encoder_depth": (5,),
    "decoder_use_norm": ("batchnorm", True),
    "decoder_use_batchnorm": (True,),  # its name before version 0.5
    "decoder_attention_type": (None,),
    "decoder_interpolation": ("nearest",),
    "activation": (None, "identity"),
    "aux_params": (None,),
    "upsampling": (None,),
}
"""Arguments of which we have these values only."""

DEFAULTS: dict[str, dict[str, object]] = {
    "Unet": {"decoder_channels": (256, 128, 64, 32, 16)},
    "DeepLabV3": {
        "encoder_output_stride": 8,
        "decoder_channels": 256,
        "decoder_atrous_rates": (12, 24, 36),
        "decoder_aspp_separable": False,
        "decoder_aspp_dropout": 0.5,
    },
    "DeepLabV3Plus": {
        "encoder_output_stride": 16,
        "decoder_channels": 256,
        "decoder_atrous_rates": (12, 24, 36),
        "decoder_aspp_separable": True,
        "decoder_aspp_dropout": 0.5,
        "upsampling": 4,
    },
}
"""smp's networks that are ours too, with the defaults that become options."""


def smp_model(
    tensors: Mapping[str, Tensor], config: Mapping[str, object] | None = None
) -> ForeignModel | None:
    """Return smp's network as ours, or None if the tensors are none of its.

    Args:
        tensors: Its state.
        config: `config.json` of a folder that `save_pretrained` wrote; without one the arguments
            are read off the tensors, and those that leave no trace there are smp's defaults.

    Raises:
        InputError: A network, an encoder or an argument that we do not have.
    """
    if "segmentation_head.0.weight" not in tensors:
        return None
    if config is None:
        name = _class_of(tensors)
        arguments = _arguments_of(name, tensors)
    else:
        name = str(config["_model_class"])
        arguments = {k: v for k, v in config.items() if not k.startswith("_")}
    architecture, encoder_name, options = smp_recipe(name, arguments)
    tensors = renamed(tensors, {"decoder.0.": "decoder.aspp.", **_BEFORE_0_5, **_ENCODER})
    ours = renamed(tensors, {"segmentation_head.0.": "head.", **_TABLES[name](tensors)})
    if name != "Unet":
        ours = image_level_first(ours)
    return ForeignModel(ORIGIN, architecture, encoder_name, options, ours)


def smp_recipe(name: str, arguments: Mapping[str, object]) -> tuple[str, str, dict[str, Option]]:
    """Return which network of ours an smp network is: architecture, encoder and options.

    Args:
        name: Its class: "Unet", "DeepLabV3", "DeepLabV3Plus".
        arguments: What its constructor was given.

    Raises:
        InputError: A network, an encoder or an argument that we do not have.
    """
    if name not in DEFAULTS:
        raise unknown(f"network of {ORIGIN} that is ours too", name, DEFAULTS)
    defaults = DEFAULTS[name]
    for argument, value in arguments.items():
        allowed = ONLY.get(argument, ())
        if argument in PARAMETERS or argument in defaults or value in allowed:
            continue
        if argument not in ONLY:
            raise unknown(f"argument of {name}", argument, [*PARAMETERS, *defaults, *ONLY])
        raise InputError(
            f"{name}({argument}={value!r}) has no counterpart here; "
            f"only {' or '.join(map(repr, allowed))} has"
        )
    given = {**defaults, **arguments}
    theirs = str(arguments.get("encoder_name", "resnet34"))
    options = _unet(given) if name == "Unet" else _deeplab(name, given, theirs)
    return _ARCHITECTURES[name], _encoder(theirs), options


_ARCHITECTURES = {
    "Unet": "unet",
    "DeepLabV3": "deeplab_v3",
    "DeepLabV3Plus": "deeplab_v3_plus",
}
_BEFORE_0_5 = {"decoder.1.": "decoder.conv.", "decoder.2.": "decoder.bn."}
_ENCODER = {"encoder.model.": "encoder."}  # of the "tu-" encoders


def _unet(given: Mapping[str, object]) -> dict[str, Option]:
    widths = tuple(cast("Iterable[int]", given["decoder_channels"]))
    base = widths[0] // 4
    if widths != tuple(max(base * 4 >> level, 1) for level in range(5)):
        raise InputError(
            f"Unet(decoder_channels={widths}) has no counterpart here: each of the five must be "
            "half of the one before it, such as 256, 128, 64, 32, 16"
        )
    return {"base_channels": base}


def _deeplab(name: str, given: Mapping[str, object], encoder: str) -> dict[str, Option]:
    is_plus, separable = name == "DeepLabV3Plus", bool(given["decoder_aspp_separable"])
    if separable != is_plus:
        raise InputError(
            f"{name}(decoder_aspp_separable={separable}) has no counterpart here; it mixes "
            f"separable and plain convolutions, so take {is_plus}"
        )
    if is_plus and given["upsampling"] != 4:
        raise InputError(
            f"DeepLabV3Plus(upsampling={given['upsampling']}) has no counterpart here; only 4 has"
        )
    rates = cast("Iterable[int]", given["decoder_atrous_rates"])
    options: dict[str, Option] = {
        "output_stride": cast("int", given["encoder_output_stride"]),
        "aspp_channels": cast("int", given["decoder_channels"]),
        "rates": ",".join(map(str, rates)),
        "dropout": cast("float", given["decoder_aspp_dropout"]),
        "multi_grid": "none",
        "even_dilation": not encoder.startswith("tu-"),
        "refine": True,
        "separable": separable,
        "align_corners": True,
    }
    if is_plus:
        options["decoder_channels"] = options["aspp_channels"]
        options |= {"decoder_convolutions": 1, "norm_between": False}
    return options


def _encoder(name: str) -> str:
    """Return our name of one of smp's encoders."""
    if name.startswith("tu-"):
        return name.removeprefix("tu-")
    if name == "mobilenet_v2":
        return "mobilenet_v2_1280"
    if name.startswith("resnet") and name in ENCODERS:
        return name
    raise InputError(
        f"{ORIGIN}'s encoder {name} has no counterpart here; take a ResNet, mobilenet_v2, or a "
        f"pyramid of timm as tu-NAME"
    )


def _class_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the class of a network by keys that only it has."""
    for name, key in {
        "Unet": "decoder.blocks.0.conv1.0.weight",
        "DeepLabV3": "decoder.aspp.convs.0.0.weight",
        "DeepLabV3 before 0.5": "decoder.0.convs.0.0.weight",
        "DeepLabV3Plus": "decoder.aspp.0.convs.0.0.weight",
    }.items():
        if key in tensors:
            return name.split()[0]
    raise InputError(
        f"a network of {ORIGIN} that is not ours too; {', '.join(DEFAULTS)} can be converted"
    )


def _arguments_of(name: str, tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Read the arguments that leave a trace in the tensors."""
    arguments: dict[str, object] = {}
    if "encoder.features.18.0.weight" in tensors:
        arguments["encoder_name"] = "mobilenet_v2"
    elif "encoder.layer1.0.conv1.weight" in tensors:
        arguments["encoder_name"] = resnet_name(tensors, "encoder.", ORIGIN)
    else:
        raise InputError(
            f"a network of {ORIGIN} whose encoder cannot be told from its tensors; save it with "
            "save_pretrained(), which writes config.json, and give that folder"
        )
    if name == "Unet":
        widths = (tensors[f"decoder.blocks.{i}.conv1.0.weight"].shape[0] for i in range(5))
        arguments["decoder_channels"] = tuple(widths)
    else:
        arguments["decoder_channels"] = tensors["segmentation_head.0.weight"].shape[1]
    return arguments


def _unet_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        f"decoder.blocks.{level}.conv{number}.{part}.": f"merge.{level}.{number - 1}.{ours}."
        for level in range(5)
        for number in (1, 2)
        for part, ours in ((0, "conv"), (1, "norm"))
    }


def _deeplab_v3_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        **aspp_names("decoder.aspp.", tensors),
        "decoder.conv.": "aspp.refine.conv.",
        "decoder.bn.": "aspp.refine.norm.",
    }


def _deeplab_v3_plus_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        **aspp_names("decoder.aspp.0.", tensors, separable=True),
        "decoder.aspp.1.0.": "aspp.refine.depthwise.conv.",
        "decoder.aspp.1.1.": "aspp.refine.pointwise.conv.",
        "decoder.aspp.2.": "aspp.refine.pointwise.norm.",
        "decoder.block1.0.": "reduce.conv.",
        "decoder.block1.1.": "reduce.norm.",
        "decoder.block2.0.0.": "refine.0.depthwise.conv.",
        "decoder.block2.0.1.": "refine.0.pointwise.conv.",
        "decoder.block2.1.": "refine.0.pointwise.norm.",
    }


_TABLES: dict[str, Callable[[Mapping[str, Tensor]], dict[str, str]]] = {
    "Unet": _unet_names,
    "DeepLabV3": _deeplab_v3_names,
    "DeepLabV3Plus": _deeplab_v3_plus_names,
}
