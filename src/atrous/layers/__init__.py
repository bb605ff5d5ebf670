"""Small modules that several papers share."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.layers.conv import BatchNorm, ConvNormAct, SeparableConv
    from atrous.layers.pooling import MaxPool

__all__ = ["BatchNorm", "ConvNormAct", "MaxPool", "SeparableConv"]

__getattr__ = lazy(
    __name__,
    {
        "BatchNorm": "conv",
        "ConvNormAct": "conv",
        "MaxPool": "pooling",
        "SeparableConv": "conv",
    },
)
