"""Squares of numbers turned over their diagonal in vector registers, in compiled code.

Chunks hold pixels where maps are read, and labels where rows are. A square of as many chunks as a
chunk has lanes leads from one to the other without a detour through single numbers.

    transpose(source, (i, j), target, (k, n), chunk)    # both 2-D float32, contiguous

`chunk` is the shape of a row of one chunk, see `row_shapes`. Nothing checks bounds.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types

from atrous.ops.chunks import chunk_of, integers_of, operation
from atrous.ops.row_shapes import row_of

__all__ = ["lanes_of", "transpose"]


@operation
def lanes_of(typing: Any, chunk: Any) -> Any:
    """Return the side of a square, which is known when code is compiled: `lanes_of(chunk)`."""
    lanes = row_of(chunk).lanes

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, lanes)

    return types.intp(chunk), build


@operation
def transpose(typing: Any, source: Any, first: Any, target: Any, to: Any, chunk: Any) -> Any:
    """Write the square of `source` that begins at (row, column) `first` to `target` at `to`."""
    lanes = row_of(chunk).lanes

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        read = _places(context, builder, kinds[:2], arguments[:2], lanes)
        write = _places(context, builder, kinds[2:4], arguments[2:4], lanes)
        square = [builder.load(place, align=4) for place in read]
        for place, column in zip(write, _transposed(builder, square), strict=True):
            builder.store(column, place, align=4)
        return context.get_dummy_value()

    return types.void(source, first, target, to, chunk), build


def _transposed(builder: Any, chunks: list[Any]) -> list[Any]:
    """Return the chunks of a square's columns, in log2 of its side steps.

    A step exchanges the upper right and the lower left quarter of every square of 2, 4, ... numbers
    (Eklundh 1972).
    """
    lanes, step = len(chunks), 1
    while step < lanes:
        upper = [lane + (lanes - step if lane & step else 0) for lane in range(lanes)]
        lower = [lane + (lanes if lane & step else step) for lane in range(lanes)]
        masks = [ir.Constant(integers_of(lanes), mask) for mask in (upper, lower)]
        chunks = [
            builder.shuffle_vector(chunks[n & ~step], chunks[n | step], masks[n & step > 0])
            for n in range(lanes)
        ]
        step *= 2
    return chunks


def _places(context: Any, builder: Any, given: Any, arguments: Any, lanes: int) -> list[Any]:
    """Return pointers to the chunks of an array's square."""
    array = context.make_array(given[0])(context, builder, arguments[0])
    row, column = (
        context.cast(builder, builder.extract_value(arguments[1], n), kind, types.intp)
        for n, kind in enumerate(given[1].types)
    )
    width = builder.extract_value(array.shape, 1)
    place = builder.gep(array.data, [builder.add(builder.mul(row, width), column)])
    places = []
    for _ in range(lanes):
        places.append(builder.bitcast(place, chunk_of(lanes).as_pointer()))
        place = builder.gep(place, [width])
    return places
