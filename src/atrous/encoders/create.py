"""Encoders by name, without disk and network."""

from collections.abc import Callable

from atrous.encoders.encoder import Encoder
from atrous.encoders.mobilenet_v2 import MobileNetV2, Padding
from atrous.errors import InputError

__all__ = ["ENCODERS", "create_encoder"]


def _mobilenet_v2(width: float) -> Callable[[int, int, Padding], Encoder]:
    return lambda in_channels, output_stride, padding: MobileNetV2(
        in_channels, width=width, output_stride=output_stride, padding=padding
    )


ENCODERS: dict[str, Callable[[int, int, Padding], Encoder]] = {
    "mobilenet_v2": _mobilenet_v2(1.0),
    "mobilenet_v2_075": _mobilenet_v2(0.75),
    "mobilenet_v2_050": _mobilenet_v2(0.5),
    "mobilenet_v2_035": _mobilenet_v2(0.35),
}


def create_encoder(
    name: str,
    *,
    in_channels: int = 3,
    output_stride: int = 32,
    padding: Padding = "symmetric",
) -> Encoder:
    if output_stride not in (8, 16, 32):
        raise InputError(f"output_stride is {output_stride}; choose 8, 16 or 32")
    return ENCODERS[name](in_channels, output_stride, padding)
