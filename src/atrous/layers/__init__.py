"""Small modules that several papers share."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.layers.conv import BatchNorm, ConvNormAct, SeparableConv

__all__ = ["BatchNorm", "ConvNormAct", "SeparableConv"]

__getattr__ = lazy(
    __name__,
    {"BatchNorm": "conv", "ConvNormAct": "conv", "SeparableConv": "conv"},
)
