"""What a row of labels is to compiled code: so many chunks of so many lanes, as a type.

Eight float32 lanes make a chunk: AVX processors hold it in one register, others in two. A row of up
to four labels is one chunk of four, of two labels one of two: padded to eight, a map of two labels
and its messages would take four times the memory.

A kernel takes the shape of its rows as a tuple of as many zeros as a row has chunks, each zero of
as many bytes as a chunk has lanes. The tuple's type carries both numbers, so numba compiles one
kernel per padded number of labels and caches each.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.extending import models, register_model

from atrous.ops.chunks import LANES, chunk_of

__all__ = ["RowType", "Shape", "row_of", "shape_of", "width_of"]

Shape = tuple[int | np.integer, ...]
"""Zeros that stand for the shape of a row."""


class RowType(types.Type):
    """The type of a row of `chunks` chunks of `lanes` float32."""

    def __init__(self, chunks: int, lanes: int = LANES) -> None:
        self.chunks, self.lanes = chunks, lanes
        super().__init__(name=f"Row({chunks}, {lanes})")

    @property
    def inside(self) -> Any:
        """What a row is to LLVM."""
        return ir.ArrayType(chunk_of(self.lanes), self.chunks)


@register_model(RowType)
class _RowModel(models.PrimitiveModel):
    def __init__(self, manager: Any, row: RowType) -> None:
        super().__init__(manager, row, row.inside)  # type: ignore[no-untyped-call]  # numba has no types


def shape_of(num_labels: int) -> Shape:
    """Return the zeros that stand for a row of so many labels, padded to whole chunks.

    Example:
        >>> shape_of(21)
        (0, 0, 0)
    """
    if num_labels <= 2:
        return (np.int16(0),)
    if num_labels <= 4:
        return (np.int32(0),)
    return (0,) * -(-num_labels // LANES)


def width_of(shape: Shape) -> int:
    """Return how many float32 a row takes: 2, 4 or a multiple of 8."""
    return len(shape) * np.asarray(shape[0]).itemsize


def row_of(shape: Any) -> RowType:
    """Return the row that the type of some zeros stands for."""
    return RowType(len(shape), shape.dtype.bitwidth // 8)
