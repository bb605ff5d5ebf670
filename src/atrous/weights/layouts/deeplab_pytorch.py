"""kazuto1011/deeplab-pytorch: DeepLab v2 on ResNet-101, converted from the authors' Caffe model.

The ResNet is Caffe's: stride in the first 1x1, pooling rounded up, every unit of a dilated stage
dilated. Images come as BGR with values to 255 and the mean taken off; here the first convolution
is turned around, so that RGB and a normalisation of our kind do the same.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from atrous.ops import Normalization
from atrous.weights.layouts.foreign import ForeignModel, resnet_name

__all__ = ["CAFFE", "deeplab_pytorch_model", "for_rgb"]

ORIGIN = "kazuto1011/deeplab-pytorch"
CAFFE = Normalization((122.675 / 255, 116.669 / 255, 104.008 / 255), (1 / 255, 1 / 255, 1 / 255))
"""ImageNet's mean in Caffe, as RGB on the scale where white is 1."""

_LAYER = {"reduce": ("conv1", "bn1"), "conv3x3": ("conv2", "bn2"), "increase": ("conv3", "bn3")}
_UNIT = re.compile(r"layer([2-5])\.block(\d+)\.(\w+)\.(conv|bn)\.(\w+)")


def deeplab_pytorch_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return kazuto1011's network as ours, or None if the tensors are none of its."""
    if not any(name.endswith("layer2.block1.reduce.conv.weight") for name in tensors):
        return None
    tensors = {_renamed(name.removeprefix("base.")): v for name, v in tensors.items()}
    tensors = for_rgb(tensors, "encoder.conv1.weight")
    return ForeignModel(
        ORIGIN,
        "deeplab_v2",
        resnet_name(tensors, "encoder.", ORIGIN) + "_caffe",
        {"head": "aspp_l", "even_dilation": True},
        tensors,
        head="classifiers.0.weight",
        normalization=CAFFE,
    )


def for_rgb(tensors: Mapping[str, Tensor], first: str) -> dict[str, Tensor]:
    """Turn a first convolution that takes blue, green, red into one that takes red, green, blue."""
    return {**tensors, first: tensors[first].flip(1)}


def _renamed(name: str) -> str:
    """Return what our network calls a tensor."""
    match = _UNIT.fullmatch(name)
    if match:
        stage, unit, layer, part, kind = match.groups()
        where = f"encoder.layer{int(stage) - 1}.{int(unit) - 1}"
        index = 0 if part == "conv" else 1
        ours = (
            f"downsample.{index}" if layer == "shortcut" else _LAYER.get(layer, (layer,) * 2)[index]
        )
        return f"{where}.{ours}.{kind}"
    for theirs, ours in (
        ("layer1.conv1.conv.", "encoder.conv1."),
        ("layer1.conv1.bn.", "encoder.bn1."),
        ("aspp.c", "classifiers."),
    ):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
