"""Encoders by name, without disk and network."""

from collections.abc import Callable
from functools import partial

from torch import nn

from atrous.encoders.alexnet import AlexNet, CaffeNet
from atrous.encoders.encoder import Encoder, Padding
from atrous.encoders.googlenet import BVLCGoogLeNet, GoogLeNet
from atrous.encoders.mobilenet_v2 import MobileNetV2
from atrous.encoders.timm_pyramid import timm_names, timm_pyramid
from atrous.encoders.vgg import VGG16, VGG19
from atrous.errors import InputError, unknown

__all__ = ["ENCODERS", "create_encoder"]

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "alexnet": AlexNet,
    "bvlc_googlenet": BVLCGoogLeNet,
    "caffenet": CaffeNet,
    "googlenet": GoogLeNet,
    "mobilenet_v2": partial(MobileNetV2, width=1.0),
    "mobilenet_v2_075": partial(MobileNetV2, width=0.75),
    "mobilenet_v2_050": partial(MobileNetV2, width=0.5),
    "mobilenet_v2_035": partial(MobileNetV2, width=0.35),
    "resnet18": partial(timm_pyramid, "resnet18"),
    "resnet34": partial(timm_pyramid, "resnet34"),
    "resnet50": partial(timm_pyramid, "resnet50"),
    "resnet101": partial(timm_pyramid, "resnet101"),
    "vgg16": VGG16,
    "vgg16_bn": partial(VGG16, batch_norm=True),
    "vgg19": VGG19,
}
"""Encoders with a name of ours; every other feature pyramid of timm is known by timm's name."""


def create_encoder(
    name: str,
    *,
    in_channels: int = 3,
    output_stride: int = 32,
    padding: Padding = "symmetric",
) -> Encoder:
    """Build an encoder with random weights.

    Args:
        name: A name of `ENCODERS`, or any of timm's with a feature pyramid.
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8; below 32 the last stages are dilated instead of strided.
        padding: "same" pads strided convolutions as TensorFlow does (MobileNetV2 only).

    Raises:
        InputError: An unknown name, or something that this encoder cannot do.
    """
    if output_stride not in (8, 16, 32):
        raise InputError(f"output_stride is {output_stride}; choose 8, 16 or 32")
    if padding not in ("symmetric", "same"):
        raise unknown("padding", str(padding), ("symmetric", "same"))
    build = ENCODERS.get(name) or _of_timm(name)
    settings: dict[str, int | str] = {"in_channels": in_channels, "output_stride": output_stride}
    if padding == "same":
        if not name.startswith("mobilenet_v2"):
            raise InputError(f"encoder {name} has no padding='same'; leave it out")
        settings["padding"] = padding
    encoder = build(**settings)
    assert isinstance(encoder, nn.Module)
    return encoder


def _of_timm(name: str) -> Callable[..., Encoder]:
    """Return the builder of a network that timm knows."""
    import timm

    if not timm.is_model(name):
        raise unknown("encoder", name, [*ENCODERS, *timm_names()], see="atrous models")
    return partial(timm_pyramid, name)
