"""Encoders by name, without disk and network."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

from torch import nn

from atrous.encoders.alexnet import AlexNet, CaffeNet
from atrous.encoders.encoder import Encoder, Padding
from atrous.encoders.googlenet import BVLCGoogLeNet, GoogLeNet
from atrous.encoders.mobilenet_v2 import MobileNetV2
from atrous.encoders.mobilenet_v3 import MobileNetV3
from atrous.encoders.resnet import ResNet
from atrous.encoders.timm_pyramid import timm_names, timm_pyramid
from atrous.encoders.vgg import VGG16, VGG19
from atrous.errors import InputError, unknown

__all__ = ["ENCODERS", "create_encoder", "resnet_depth"]

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "alexnet": AlexNet,
    "bvlc_googlenet": BVLCGoogLeNet,
    "caffenet": CaffeNet,
    "googlenet": GoogLeNet,
    "mobilenet_v2": partial(MobileNetV2, width=1.0),
    "mobilenet_v2_075": partial(MobileNetV2, width=0.75),
    "mobilenet_v2_050": partial(MobileNetV2, width=0.5),
    "mobilenet_v2_035": partial(MobileNetV2, width=0.35),
    "mobilenet_v2_1280": partial(MobileNetV2, last_layer=True),
    "mobilenet_v3_large": MobileNetV3,
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "resnet101": partial(ResNet, 101),
    "resnet152": partial(ResNet, 152),
    "resnet50s": partial(ResNet, 50, deep_stem=True),
    "resnet101s": partial(ResNet, 101, deep_stem=True),
    "resnet152s": partial(ResNet, 152, deep_stem=True),
    "resnet101_caffe": partial(ResNet, 101, caffe=True),
    "vgg16": VGG16,
    "vgg16_bn": partial(VGG16, batch_norm=True),
    "vgg19": VGG19,
}
"""Encoders with a name of ours; every other feature pyramid of timm is known by timm's name.

An `s` marks the deep stem of 64, 64 and 128 channels (timm's name for it).
"""


def create_encoder(
    name: str,
    *,
    in_channels: int = 3,
    output_stride: int = 32,
    padding: Padding = "symmetric",
    even_dilation: bool | None = None,
    multi_grid: Sequence[int] | None = None,
    stages: int = 5,
) -> Encoder:
    """Build an encoder with random weights.

    Args:
        name: A name of `ENCODERS`, or any of timm's with a feature pyramid.
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8; below 32 the last stages are dilated instead of strided.
        padding: "same" pads strided convolutions as TensorFlow does, "early" pads as VainF's
            weights want it (MobileNetV2 only).
        even_dilation: Dilate the first unit of a dilated stage too (ResNets and MobileNets); None
            is the encoder's own choice (see `ResNet`).
        multi_grid: Factors on the dilations of the last stage's units (ResNets only).
        stages: Keep the first of the five only, at least two (ResNets and MobileNetV2).

    Raises:
        InputError: An unknown name, or something that this encoder cannot do.
    """
    if output_stride not in (8, 16, 32):
        raise InputError(f"output_stride is {output_stride}; choose 8, 16 or 32")
    if padding not in get_args(Padding):
        raise unknown("padding", str(padding), get_args(Padding))
    if not 2 <= stages <= 5:
        raise InputError(f"stages is {stages}; an encoder has five, of which 2 to 5 can be kept")
    build = ENCODERS.get(name) or _of_timm(name)
    settings: dict[str, object] = {"in_channels": in_channels, "output_stride": output_stride}
    asked = {
        "padding": (padding, "symmetric"),
        "even_dilation": (even_dilation, False),
        "multi_grid": (multi_grid, None),
        "stages": (stages, 5),
    }
    for option, (value, default) in asked.items():
        if option in inspect.signature(build).parameters:
            settings |= {} if value is None else {option: value}
        elif value not in (default, None):
            raise InputError(f"encoder {name} has no {option}={value!r}; leave it out")
    encoder = build(**settings)
    assert isinstance(encoder, nn.Module)
    return encoder


def resnet_depth(name: str) -> int | None:
    """Return how many layers a ResNet of He et al. has, in any form of ours; None for others.

    Example:
        >>> resnet_depth("resnet50s"), resnet_depth("resnet101_caffe"), resnet_depth("vgg16")
        (50, 101, None)
    """
    build = ENCODERS.get(name)
    if isinstance(build, partial) and build.func is ResNet:
        depth: int = build.args[0]
        return depth
    return None


def _of_timm(name: str) -> Callable[..., Encoder]:
    """Return the builder of a network that timm knows."""
    import timm

    if not timm.is_model(name):
        raise unknown("encoder", name, [*ENCODERS, *timm_names()], see="atrous models")
    return partial(timm_pyramid, name)
