"""Rows of labels that lie one after the other without padding, in compiled code.

A row in registers is padded to whole chunks; where memory counts more than a few instructions, an
array (M, K) holds the K numbers alone. The last chunk is read and written under a mask, so nothing
beyond the row is touched: not the next row, not what lies behind the array.

    row = load_packed(values, i, shape)     # values: (M, K) float32, contiguous; shape of K labels
    store_packed(values, i, row)
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types

from atrous.ops.chunks import apart, chunk_of, integers_of, joined, operation, spread
from atrous.ops.row_shapes import RowType, row_of

__all__ = ["load_packed", "store_packed"]

BIT, BYTES = ir.IntType(1), ir.Constant(ir.IntType(32), 4)


@operation
def load_packed(typing: Any, values: Any, index: Any, shape: Any) -> Any:
    """Read a row; its padding is 0: `load_packed(values, index, shape)`."""
    row = row_of(shape)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places, mask = _places(context, builder, signature.args, arguments, row)
        whole = [builder.load(place, align=4) for place in places[:-1]]
        chunk = chunk_of(row.lanes)
        told = [chunk.as_pointer(), BYTES.type, mask.type, chunk]
        read = _function(builder, "load", row.lanes, ir.FunctionType(chunk, told))
        rest = builder.call(read, [places[-1], BYTES, mask, ir.Constant(chunk, None)])
        return joined(builder, [*whole, rest])

    return row(values, index, shape), build


@operation
def store_packed(typing: Any, values: Any, index: Any, row: Any) -> Any:
    """Write a row without its padding: `store_packed(values, index, row)`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places, mask = _places(context, builder, signature.args, arguments, row)
        *whole, rest = apart(builder, arguments[2], row.chunks)
        for place, chunk in zip(places[:-1], whole, strict=True):
            builder.store(chunk, place, align=4)
        told = [rest.type, places[-1].type, BYTES.type, mask.type]
        write = _function(builder, "store", row.lanes, ir.FunctionType(ir.VoidType(), told))
        builder.call(write, [rest, places[-1], BYTES, mask])
        return context.get_dummy_value()

    return types.void(values, index, row), build


def _places(
    context: Any, builder: Any, given: Any, arguments: Any, row: RowType
) -> tuple[list[Any], Any]:
    """Return pointers to the chunks of row `index`, and which lanes of the last one it fills."""
    array = context.make_array(given[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], given[1], types.intp)
    count = builder.extract_value(array.shape, 1)
    first = builder.gep(array.data, [builder.mul(index, count)])
    start = builder.bitcast(first, chunk_of(row.lanes).as_pointer())
    places = [builder.gep(start, [ir.Constant(ir.IntType(32), i)]) for i in range(row.chunks)]
    before = ir.Constant(count.type, row.lanes * (row.chunks - 1))
    left = builder.trunc(builder.sub(count, before), ir.IntType(32))
    lanes = ir.Constant(integers_of(row.lanes), list(range(row.lanes)))
    return places, builder.icmp_signed("<", lanes, spread(builder, left, row.lanes))


def _function(builder: Any, does: str, lanes: int, kind: Any) -> Any:
    """Return LLVM's masked load or store of a chunk."""
    name = f"llvm.masked.{does}.v{lanes}f32.p0"
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
