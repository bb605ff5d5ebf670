"""segmentation_models_pytorch's tensors: its U-Net, PSPNet, DeepLab v3 and v3+.

A folder of `save_pretrained` says with which arguments a network was made; a state_dict alone shows
most of them, and the rest is taken to be smp's defaults. The level of one part has no norm in its
PSPNet; ours has one there, filled so that it changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.weights.layouts.foreign import (
    ForeignModel,
    aspp_names,
    bias_as_norm,
    image_level_first,
    renamed,
    resnet_name,
)
from atrous.weights.layouts.smp_arguments import DEFAULTS, ORIGIN, smp_recipe

__all__ = ["smp_model"]


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
    if name == "PSPNet":
        ours = _pspnet_tensors(ours, cast("int", options["stages"]))
        return ForeignModel(
            ORIGIN, architecture, encoder_name, options, ours, head="head.score.weight"
        )
    if name != "Unet":
        ours = image_level_first(ours)
    return ForeignModel(ORIGIN, architecture, encoder_name, options, ours)


_BEFORE_0_5 = {"decoder.1.": "decoder.conv.", "decoder.2.": "decoder.bn."}
_ENCODER = {"encoder.model.": "encoder."}  # of the "tu-" encoders


def _class_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the class of a network by keys that only it has."""
    for name, key in {
        "Unet": "decoder.blocks.0.conv1.0.weight",
        "DeepLabV3": "decoder.aspp.convs.0.0.weight",
        "DeepLabV3 before 0.5": "decoder.0.convs.0.0.weight",
        "DeepLabV3Plus": "decoder.aspp.0.convs.0.0.weight",
        "PSPNet": "decoder.psp.blocks.0.pool.1.0.weight",
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
    elif name == "PSPNet":
        arguments["psp_out_channels"] = tensors["segmentation_head.0.weight"].shape[1]
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


def _pspnet_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    table = {
        "segmentation_head.0.": "head.score.",
        "decoder.conv.0.": "head.conv.conv.",
        "decoder.conv.1.": "head.conv.norm.",
        "decoder.psp.blocks.0.pool.1.0.bias": "pyramid.levels.0.1.norm.bias",
    }
    for level in range(4):
        theirs, ours = f"decoder.psp.blocks.{level}.pool.1.", f"pyramid.levels.{level}.1."
        table |= {f"{theirs}0.": f"{ours}conv.", f"{theirs}1.": f"{ours}norm."}
    return table


def _pspnet_tensors(tensors: Mapping[str, Tensor], stages: int) -> dict[str, Tensor]:
    """Drop unused stages, make the first level's bias a norm, put the map before its levels."""
    unused = [f"encoder.layer{index}." for index in range(stages, 5)]
    last = (1, 3, 6, 13, 18)[stages - 1]
    unused += [f"encoder.features.{index}." for index in range(last + 1, 19)]
    ours = {k: v for k, v in tensors.items() if not k.startswith(tuple(unused))}
    norm = "pyramid.levels.0.1.norm."
    ours |= bias_as_norm(norm, ours[f"{norm}bias"])
    name = "head.conv.conv.weight"
    ours[name] = torch.roll(ours[name], ours[name].shape[1] // 2, dims=1)
    return ours


_TABLES: dict[str, Callable[[Mapping[str, Tensor]], dict[str, str]]] = {
    "Unet": _unet_names,
    "DeepLabV3": _deeplab_v3_names,
    "DeepLabV3Plus": _deeplab_v3_plus_names,
    "PSPNet": _pspnet_names,
}
