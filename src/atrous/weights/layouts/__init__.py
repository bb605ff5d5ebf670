"""Whole networks as other libraries save them; one file per layout, each known by its keys."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.weights.layouts.foreign import ForeignModel
    from atrous.weights.layouts.recognition import LAYOUTS, recognise

__all__ = ["LAYOUTS", "ForeignModel", "recognise"]

__getattr__ = lazy(
    __name__,
    {"LAYOUTS": "recognition", "ForeignModel": "foreign", "recognise": "recognition"},
)
