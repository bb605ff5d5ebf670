"""What a network is made of and how far it sees: layer tables, receptive fields, pictures."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.explain.deeplab_view import field_of_view
    from atrous.explain.effective import effective_receptive_field, side_that_holds
    from atrous.explain.layer_table import Layer, fields, grouped, layers
    from atrous.explain.picture import draw
    from atrous.explain.receptive_field import Span, joined

__all__ = [
    "Layer",
    "Span",
    "draw",
    "effective_receptive_field",
    "field_of_view",
    "fields",
    "grouped",
    "joined",
    "layers",
    "side_that_holds",
]

__getattr__ = lazy(
    __name__,
    {
        "Layer": "layer_table",
        "Span": "receptive_field",
        "draw": "picture",
        "effective_receptive_field": "effective",
        "field_of_view": "deeplab_view",
        "fields": "layer_table",
        "grouped": "layer_table",
        "joined": "receptive_field",
        "layers": "layer_table",
        "side_that_holds": "effective",
    },
)
