"""A row of labels as one value in compiled code: K numbers in vector registers.

numba leaves short loops over labels scalar: LLVM unrolls them before it looks for vectors, and then
cannot prove that the arrays do not overlap. Here the vectors are written down. A row has a fixed
number of chunks of eight float32, known when a kernel is compiled: AVX processors hold a chunk in
one register, others in two. `Shape`, a tuple of as many zeros as a row has chunks, carries that
number in its type, so numba compiles one kernel per padded number of labels and caches each.

    row = load(values, i, shape)        # values: (M, 8 * chunks) float32, contiguous
    row = row + weight * other
    store(values, i, row)

Nothing checks bounds. Multiplications and additions may fuse, which rounds once instead of twice.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.extending import models, overload, register_model

from atrous.crf.compiling import instruction

__all__ = [
    "LANES",
    "RowType",
    "add_to",
    "exponential",
    "highest",
    "load",
    "maximum",
    "prefetch",
    "shape_of",
    "store",
    "total",
    "zeros",
]

LANES = 8
"""float32 numbers in a chunk."""

CHUNK = ir.VectorType(ir.FloatType(), LANES)
INTEGERS = ir.VectorType(ir.IntType(32), LANES)
FUSE = ("contract",)

# 2^x over [-1/2, 1/2]: a Chebyshev interpolation of degree 5, off by 2e-7 of the value at most
POWERS = np.polynomial.Chebyshev.interpolate(np.exp2, 5, [-0.5, 0.5]).convert(
    kind=np.polynomial.Polynomial
)
ROUNDER = 1.5 * 2**23
"""Adding this to a small float32 rounds it to an integer, which then stands in the lowest bits."""
LOWEST = -87.0
"""exp of anything lower is taken as exp of this, 1.6e-38, the least that is not denormal."""


class RowType(types.Type):
    """The type of a row of `chunks` chunks."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        super().__init__(name=f"Row({chunks})")


@register_model(RowType)
class _RowModel(models.PrimitiveModel):
    def __init__(self, manager: Any, row: RowType) -> None:
        chunks = ir.ArrayType(CHUNK, row.chunks)
        super().__init__(manager, row, chunks)  # type: ignore[no-untyped-call]  # numba has no types


def shape_of(num_labels: int) -> tuple[int, ...]:
    """Return the zeros that stand for a row of so many labels, padded to whole chunks."""
    return (0,) * -(-num_labels // LANES)


@instruction
def zeros(typing: Any, shape: Any) -> Any:
    """Return a row of zeros: `zeros(shape)`."""
    row = RowType(len(shape))

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.ArrayType(CHUNK, row.chunks), None)

    return row(shape), build


@instruction
def load(typing: Any, values: Any, index: Any, shape: Any) -> Any:
    """Read a row: `load(values, index, shape)`."""
    row = RowType(len(shape))

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row.chunks)
        return _row(builder, [builder.load(place, align=4) for place in places])

    return row(values, index, shape), build


@instruction
def store(typing: Any, values: Any, index: Any, row: Any) -> Any:
    """Write a row: `store(values, index, row)`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row.chunks)
        for place, chunk in zip(places, _chunks(builder, arguments[2], row.chunks), strict=True):
            builder.store(chunk, place, align=4)
        return context.get_dummy_value()

    return types.void(values, index, row), build


@instruction
def prefetch(typing: Any, values: Any, index: Any, shape: Any) -> Any:
    """Let the processor fetch a row that is soon to be read or written: nothing waits for it."""
    chunks = len(shape)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, chunks)
        byte = ir.IntType(8).as_pointer()
        told = [ir.IntType(32)] * 3
        kind = ir.FunctionType(ir.VoidType(), [byte, *told])
        name = "llvm.prefetch.p0"
        fetch = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        hints = [ir.Constant(ir.IntType(32), hint) for hint in (0, 3, 1)]  # read, keep, data
        for place in places[:: 64 // (4 * LANES)]:  # one for each cache line
            builder.call(fetch, [builder.bitcast(place, byte), *hints])
        return context.get_dummy_value()

    return types.void(values, index, shape), build


@instruction
def add_to(typing: Any, values: Any, index: Any, weight: Any, row: Any) -> Any:
    """Add a weighted row in memory: `add_to(values, index, weight, row)`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args, arguments, row.chunks)
        factor = _spread(builder, arguments[2])
        for place, chunk in zip(places, _chunks(builder, arguments[3], row.chunks), strict=True):
            product = builder.fmul(factor, chunk, flags=FUSE)
            builder.store(
                builder.fadd(builder.load(place, align=4), product, flags=FUSE), place, align=4
            )
        return context.get_dummy_value()

    return types.void(values, index, types.float32, row), build


@instruction
def exponential(typing: Any, row: Any) -> Any:
    """Return exp of every number; meant for numbers up to 0."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunks = _chunks(builder, arguments[0], row.chunks)
        return _row(builder, [_exponential(builder, chunk) for chunk in chunks])

    return row(row), build


@instruction
def maximum(typing: Any, left: Any, right: Any) -> Any:
    """Return the larger of two rows, number by number."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pairs = zip(*(_chunks(builder, row, left.chunks) for row in arguments), strict=True)
        return _row(builder, [_larger(builder, a, b) for a, b in pairs])

    return left(left, right), build


@instruction
def highest(typing: Any, row: Any) -> Any:
    """Return the largest number of a row."""
    return types.float32(row), _reduction(row, _larger)


@instruction
def total(typing: Any, row: Any) -> Any:
    """Return the sum of a row."""
    return types.float32(row), _reduction(row, _sum)


@instruction
def _add(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fadd")


@instruction
def _multiply(typing: Any, left: Any, right: Any) -> Any:
    return left(left, right), _pairwise(left, "fmul")


@instruction
def _filled(typing: Any, number: Any, like: Any) -> Any:
    """Return a row like another with one number everywhere."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _row(builder, [_spread(builder, arguments[0])] * like.chunks)

    return like(types.float32, like), build


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


def _places(context: Any, builder: Any, given: Any, arguments: Any, chunks: int) -> list[Any]:
    """Return pointers to the chunks of row `index` of an array."""
    array = context.make_array(given[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], given[1], types.intp)
    first = builder.mul(index, ir.Constant(index.type, LANES * chunks))
    start = builder.gep(array.data, [first])
    chunk = builder.bitcast(start, CHUNK.as_pointer())
    return [builder.gep(chunk, [ir.Constant(ir.IntType(32), i)]) for i in range(chunks)]


def _chunks(builder: Any, row: Any, chunks: int) -> list[Any]:
    return [builder.extract_value(row, i) for i in range(chunks)]


def _row(builder: Any, chunks: list[Any]) -> Any:
    row = ir.Constant(ir.ArrayType(CHUNK, len(chunks)), ir.Undefined)
    for i, chunk in enumerate(chunks):
        row = builder.insert_value(row, chunk, i)
    return row


def _spread(builder: Any, number: Any) -> Any:
    """Return a chunk with one number in every lane."""
    nothing = ir.Constant(CHUNK, ir.Undefined)
    lane = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(lane, nothing, ir.Constant(INTEGERS, [0] * LANES))


def _pairwise(row: RowType, operation: str) -> Callable[..., Any]:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right = (_chunks(builder, argument, row.chunks) for argument in arguments)
        apply = getattr(builder, operation)
        return _row(builder, [apply(a, b, flags=FUSE) for a, b in zip(left, right, strict=True)])

    return build


def _larger(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _sum(builder: Any, left: Any, right: Any) -> Any:
    return builder.fadd(left, right)


def _reduction(row: RowType, combine: Callable[..., Any]) -> Callable[..., Any]:
    """Combine the chunks lane by lane, then the lanes in halves."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunk, *others = _chunks(builder, arguments[0], row.chunks)
        for other in others:
            chunk = combine(builder, chunk, other)
        lanes = LANES
        while lanes > 1:  # halve: the upper lanes onto the lower
            lanes //= 2
            order = [*range(lanes, 2 * lanes), *range(lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order[:lanes])
            low = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))
            upper = builder.shuffle_vector(chunk, chunk, mask)
            lower = builder.shuffle_vector(chunk, chunk, low)
            chunk = combine(builder, lower, upper)
        return builder.extract_element(chunk, ir.Constant(ir.IntType(32), 0))

    return build


def _exponential(builder: Any, chunk: Any) -> Any:
    """Return 2^n 2^f with x / ln 2 = n + f, |f| <= 1/2: f by a polynomial, n in the exponent."""
    chunk = _larger(builder, chunk, _constant(LOWEST))
    exponent = builder.fmul(chunk, _constant(1 / np.log(2)), flags=FUSE)
    rounded = builder.fadd(exponent, _constant(ROUNDER))
    whole = builder.fsub(rounded, _constant(ROUNDER))
    fraction = builder.fsub(exponent, whole)
    *others, power = (_constant(float(c)) for c in POWERS.coef)
    for coefficient in reversed(others):
        power = builder.fadd(builder.fmul(power, fraction, flags=FUSE), coefficient, flags=FUSE)
    shift = ir.Constant(INTEGERS, [23] * LANES)  # the exponent of a float32 begins at bit 23
    steps = builder.shl(builder.bitcast(rounded, INTEGERS), shift)
    return builder.bitcast(builder.add(builder.bitcast(power, INTEGERS), steps), CHUNK)


def _constant(number: float) -> Any:
    return ir.Constant(CHUNK, [float(np.float32(number))] * LANES)
