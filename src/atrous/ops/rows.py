"""A row of labels as one value in compiled code: K numbers in vector registers.

numba leaves short loops over labels scalar: LLVM unrolls them before it looks for vectors, and then
cannot prove that the arrays do not overlap. Here the vectors are written down. A row has a fixed
number of chunks, known when a kernel is compiled: its shape, see `row_shapes`.

    row = load(values, i, shape)        # values: (M, padded K) float32, contiguous
    row = row + weight * other
    store(values, i, row)

Nothing checks bounds. Multiplications and additions may fuse, which rounds once instead of twice.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.extending import overload

from atrous.ops.chunks import (
    FUSE,
    apart,
    chunk_of,
    exponential_of,
    integers_of,
    joined,
    larger,
    operation,
    spread,
)
from atrous.ops.row_shapes import RowType, row_of

__all__ = [
    "add_to",
    "exponential",
    "highest",
    "load",
    "maximum",
    "prefetch",
    "store",
    "total",
    "zeros",
]


@operation
def zeros(typing: Any, shape: Any) -> Any:
    """Return a row of zeros: `zeros(shape)`."""
    row = row_of(shape)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(row.inside, None)

    return row(shape), build


@operation
def load(typing: Any, values: Any, index: Any, shape: Any) -> Any:
    """Read a row: `load(values, index, shape)`."""
    row = row_of(shape)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row)
        return joined(builder, [builder.load(place, align=4) for place in places])

    return row(values, index, shape), build


@operation
def store(typing: Any, values: Any, index: Any, row: Any) -> Any:
    """Write a row: `store(values, index, row)`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row)
        for place, chunk in zip(places, apart(builder, arguments[2], row.chunks), strict=True):
            builder.store(chunk, place, align=4)
        return context.get_dummy_value()

    return types.void(values, index, row), build


@operation
def prefetch(typing: Any, values: Any, index: Any, shape: Any) -> Any:
    """Let the processor fetch a row that is soon to be read or written: nothing waits for it."""
    row = row_of(shape)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row)
        byte = ir.IntType(8).as_pointer()
        told = [ir.IntType(32)] * 3
        kind = ir.FunctionType(ir.VoidType(), [byte, *told])
        name = "llvm.prefetch.p0"
        fetch = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        hints = [ir.Constant(ir.IntType(32), hint) for hint in (0, 3, 1)]  # read, keep, data
        for place in places[:: 64 // (4 * row.lanes)]:  # one for each cache line
            builder.call(fetch, [builder.bitcast(place, byte), *hints])
        return context.get_dummy_value()

    return types.void(values, index, shape), build


@operation
def add_to(typing: Any, values: Any, index: Any, weight: Any, row: Any) -> Any:
    """Add a weighted row in memory: `add_to(values, index, weight, row)`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row)
        factor = spread(builder, arguments[2], row.lanes)
        for place, chunk in zip(places, apart(builder, arguments[3], row.chunks), strict=True):
            product = builder.fmul(factor, chunk, flags=FUSE)
            builder.store(
                builder.fadd(builder.load(place, align=4), product, flags=FUSE), place, align=4
            )
        return context.get_dummy_value()

    return types.void(values, index, types.float32, row), build


@operation
def exponential(typing: Any, row: Any) -> Any:
    """Return exp of every number; meant for numbers up to 0."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunks = apart(builder, arguments[0], row.chunks)
        return joined(builder, [exponential_of(builder, chunk) for chunk in chunks])

    return row(row), build


@operation
def maximum(typing: Any, left: Any, right: Any) -> Any:
    """Return the larger of two rows, number by number."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pairs = zip(*(apart(builder, row, left.chunks) for row in arguments), strict=True)
        return joined(builder, [larger(builder, a, b) for a, b in pairs])

    return left(left, right), build


@operation
def highest(typing: Any, row: Any) -> Any:
    """Return the largest number of a row."""
    return types.float32(row), _reduction(row, larger)


@operation
def total(typing: Any, row: Any) -> Any:
    """Return the sum of a row."""
    return types.float32(row), _reduction(row, _sum)


@operation
def _add(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fadd")


@operation
def _multiply(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fmul")


@operation
def _filled(typing: Any, number: Any, like: Any) -> Any:
    """Return a row like another with one number everywhere."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return joined(builder, [spread(builder, arguments[0], like.lanes)] * like.chunks)

    return like(types.float32, like), build


@operation
def _subtract(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fsub")


@operation
def _divide(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fdiv")


@overload(operator.add)
def _overload_add(left: Any, right: Any) -> Any:
    def add(left: Any, right: Any) -> Any:
        return _add(left, right)

    def add_number(left: Any, right: Any) -> Any:
        return _add(left, _filled(right, left))

    if not isinstance(left, RowType):
        return None
    return add if isinstance(right, RowType) else add_number


@overload(operator.mul)
def _overload_multiply(left: Any, right: Any) -> Any:
    def multiply(left: Any, right: Any) -> Any:
        return _multiply(left, right)

    def scale(left: Any, right: Any) -> Any:
        return _multiply(_filled(left, right), right)

    if not isinstance(right, RowType):
        return None
    return multiply if isinstance(left, RowType) else scale


@overload(operator.sub)
def _overload_subtract(left: Any, right: Any) -> Any:
    def subtract(left: Any, right: Any) -> Any:
        return _subtract(left, right)

    return subtract if isinstance(left, RowType) and isinstance(right, RowType) else None


@overload(operator.truediv)
def _overload_divide(left: Any, right: Any) -> Any:
    def divide(left: Any, right: Any) -> Any:
        return _divide(left, right)

    return divide if isinstance(left, RowType) and isinstance(right, RowType) else None


def _places(context: Any, builder: Any, given: Any, arguments: Any, row: RowType) -> list[Any]:
    """Return pointers to the chunks of row `index` of an array."""
    array = context.make_array(given[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], given[1], types.intp)
    first = builder.mul(index, ir.Constant(index.type, row.lanes * row.chunks))
    start = builder.gep(array.data, [first])
    chunk = builder.bitcast(start, chunk_of(row.lanes).as_pointer())
    return [builder.gep(chunk, [ir.Constant(ir.IntType(32), i)]) for i in range(row.chunks)]


def _pairwise(row: RowType, operation: str) -> Callable[..., Any]:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right = (apart(builder, argument, row.chunks) for argument in arguments)
        apply = getattr(builder, operation)
        return joined(builder, [apply(a, b, flags=FUSE) for a, b in zip(left, right, strict=True)])

    return build


def _sum(builder: Any, left: Any, right: Any) -> Any:
    return builder.fadd(left, right)


def _reduction(row: RowType, combine: Callable[..., Any]) -> Callable[..., Any]:
    """Combine the chunks lane by lane, then the lanes in halves."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunk, *others = apart(builder, arguments[0], row.chunks)
        for other in others:
            chunk = combine(builder, chunk, other)
        lanes = row.lanes
        while lanes > 1:  # halve: the upper lanes onto the lower
            lanes //= 2
            mask = ir.Constant(integers_of(lanes), list(range(lanes, 2 * lanes)))
            low = ir.Constant(integers_of(lanes), list(range(lanes)))
            upper = builder.shuffle_vector(chunk, chunk, mask)
            lower = builder.shuffle_vector(chunk, chunk, low)
            chunk = combine(builder, lower, upper)
        return builder.extract_element(chunk, ir.Constant(ir.IntType(32), 0))

    return build
