"""What segmentation_models_pytorch's constructors are given, as options of our networks.

Its DeepLabs depart from the papers, and our options follow: rates 12, 24 and 36 at any output
stride, every unit of a dilated stage dilated, no multi-grid, one more 3x3 after the ASPP, dropout
0.5, aligned corners; in v3+ separable convolutions without norm between their halves, and one
refining convolution instead of two. Its PSPNet pools the third stage of a network that is not
dilated, and has a 1x1 where the paper has a 3x3 and a 3x3 that scores. Its MobileNetV2 keeps the
layer of 1280 channels.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from atrous.encoders import ENCODERS
from atrous.errors import InputError, unknown
from atrous.models import Option

__all__ = ["DEFAULTS", "ONLY", "ORIGIN", "PARAMETERS", "smp_recipe"]

ORIGIN = "segmentation_models_pytorch"
PARAMETERS: tuple[str, ...] = ("encoder_name", "encoder_weights", "in_channels", "classes")
"""Arguments that every network of smp has and that are not options of ours."""

ONLY: dict[str, tuple[object, ...]] = {
    "encoder_depth": (5,),
    "decoder_use_norm": ("batchnorm", True),
    "decoder_use_batchnorm": (True,),  # its names before version 0.5
    "psp_use_batchnorm": (True,),
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
    "PSPNet": {
        "encoder_depth": 3,
        "psp_out_channels": 512,
        "psp_dropout": 0.2,
        "upsampling": 8,
    },
}
"""smp's networks that are ours too, with the defaults that become options."""


def smp_recipe(name: str, arguments: Mapping[str, object]) -> tuple[str, str, dict[str, Option]]:
    """Return which network of ours an smp network is: architecture, encoder and options.

    Args:
        name: Its class, of `DEFAULTS`.
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
    if name == "Unet":
        options = _unet(given)
    elif name == "PSPNet":
        options = _pspnet(given, theirs)
    else:
        options = _deeplab(name, given, theirs)
    return _ARCHITECTURES[name], _encoder(theirs), options


_ARCHITECTURES = {
    "Unet": "unet",
    "DeepLabV3": "deeplab_v3",
    "DeepLabV3Plus": "deeplab_v3_plus",
    "PSPNet": "pspnet",
}


def _unet(given: Mapping[str, object]) -> dict[str, Option]:
    widths = tuple(cast("Iterable[int]", given["decoder_channels"]))
    base = widths[0] // 4
    if widths != tuple(max(base * 4 >> level, 1) for level in range(5)):
        raise InputError(
            f"Unet(decoder_channels={widths}) has no counterpart here: each of the five must be "
            "half of the one before it, such as 256, 128, 64, 32, 16"
        )
    return {"base_channels": base}


def _pspnet(given: Mapping[str, object], encoder: str) -> dict[str, Option]:
    depth = cast("int", given["encoder_depth"])
    if given["upsampling"] != 2**depth:
        raise InputError(
            f"PSPNet(upsampling={given['upsampling']}) with encoder_depth={depth} does not give "
            f"logits at the size of the image; take {2**depth}"
        )
    if depth < 5 and _encoder(encoder) not in ENCODERS:
        raise InputError(
            f"PSPNet({encoder!r}) with encoder_depth={depth} has no counterpart here: pyramids of "
            "timm are kept whole; take encoder_depth=5 and upsampling=32, or a ResNet"
        )
    return {
        "stages": depth,
        "output_stride": 32,
        "even_dilation": False,
        "channels": cast("int", given["psp_out_channels"]),
        "head": "smp",
        "dropout": cast("float", given["psp_dropout"]),
        "auxiliary": False,
        "align_corners": True,
    }


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
