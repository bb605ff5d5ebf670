"""Up to eight pixels side by side in compiled code: rows that hold a chunk for each pixel.

What is linear along a line of pixels becomes a geometric series under exp: one chunk of classes at
the first pixel, times the same chunk of ratios for every further one. Sums over such series, a lane
for each pixel, and polynomials in the ratios lead from classes to pixels and back.

    sums = totals(powers(first, ratio, shape))                   # over the classes of each pixel
    row = first * polynomial(of_lanes(weights, shape), ratio)    # over the pixels, for each class

`first`, `ratio`, `sums`, `weights` and `row` are one chunk (`rows`); `shape` has a zero for each
pixel.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from atrous.ops.chunks import (
    CHUNK,
    FUSE,
    INTEGERS,
    LANES,
    apart,
    constant,
    joined,
    operation,
)
from atrous.ops.row_shapes import RowType

__all__ = ["logarithm", "of_lanes", "polynomial", "powers", "totals", "where_positive"]

# log(1 + f) / f over a mantissa in [sqrt(1/2), sqrt(2)): degree 9, off by 1e-7 of the value at most
MANTISSA = 0x3F3504F3
"""sqrt(1/2) as the bits of a float32."""
LOGARITHM = np.polynomial.Chebyshev.interpolate(
    lambda f: np.log1p(f) / f, 9, [0.5**0.5 - 1, 2**0.5 - 1]
).convert(kind=np.polynomial.Polynomial)


@operation
def powers(typing: Any, first: Any, ratio: Any, shape: Any) -> Any:
    """Return chunks first, first ratio, first ratio^2, ...: `powers(first, ratio, shape)`."""
    row = RowType(len(shape))

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (start,), (factor,) = (apart(builder, argument, 1) for argument in arguments[:2])
        chunks = [start]
        while len(chunks) < row.chunks:
            chunks.append(builder.fmul(chunks[-1], factor))
        return joined(builder, chunks)

    return row(first, ratio, shape), build


@operation
def totals(typing: Any, row: Any) -> Any:
    """Return the sum of every chunk in a lane of its own, zeros after them."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunks = apart(builder, arguments[0], row.chunks)
        chunks += [constant(0.0)] * (LANES - row.chunks)
        while len(chunks) > 1:  # neighbours add up; three times leave one number of each chunk
            chunks = [
                _neighbours(builder, left, right)
                for left, right in zip(chunks[::2], chunks[1::2], strict=True)
            ]
        return joined(builder, chunks)

    return RowType(1)(row), build


@operation
def of_lanes(typing: Any, row: Any, shape: Any) -> Any:
    """Return a chunk for each of the first lanes, its number everywhere: `of_lanes(row, shape)`."""
    lanes = RowType(len(shape))

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (chunk,) = apart(builder, arguments[0], 1)
        masks = [ir.Constant(INTEGERS, [lane] * LANES) for lane in range(lanes.chunks)]
        return joined(builder, [builder.shuffle_vector(chunk, chunk, mask) for mask in masks])

    return lanes(row, shape), build


@operation
def polynomial(typing: Any, coefficients: Any, x: Any) -> Any:
    """Return c0 + c1 x + c2 x^2 + ... with a chunk for each coefficient."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunks = apart(builder, arguments[0], coefficients.chunks)
        (x,) = apart(builder, arguments[1], 1)
        return joined(builder, [_horner(builder, chunks, x)])

    return x(coefficients, x), build


@operation
def logarithm(typing: Any, row: Any) -> Any:
    """Return the natural logarithm of every number; for positive, normal numbers."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunks = apart(builder, arguments[0], row.chunks)
        return joined(builder, [_logarithm(builder, chunk) for chunk in chunks])

    return row(row), build


@operation
def where_positive(typing: Any, test: Any, row: Any, other: Any) -> Any:
    """Return the row's numbers where `test` is above 0, else the other's."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        triples = zip(*(apart(builder, given, row.chunks) for given in arguments), strict=True)
        zero = constant(0.0)
        return joined(
            builder,
            [builder.select(builder.fcmp_ordered(">", a, zero), b, c) for a, b, c in triples],
        )

    return row(test, row, other), build


def _neighbours(builder: Any, left: Any, right: Any) -> Any:
    """Return the sums of neighbouring lanes, first the left chunk's, then the right one's."""
    even, odd = (
        builder.shuffle_vector(left, right, ir.Constant(INTEGERS, list(range(first, 2 * LANES, 2))))
        for first in (0, 1)
    )
    return builder.fadd(even, odd)


def _horner(builder: Any, coefficients: list[Any], x: Any) -> Any:
    *others, value = coefficients
    for coefficient in reversed(others):
        value = builder.fadd(builder.fmul(value, x, flags=FUSE), coefficient, flags=FUSE)
    return value


def _logarithm(builder: Any, chunk: Any) -> Any:
    """Return n ln 2 + log m of x = 2^n m with m in [sqrt(1/2), sqrt(2))."""
    bits = builder.bitcast(chunk, INTEGERS)
    places = ir.Constant(INTEGERS, [23] * LANES)  # the exponent of a float32 begins at bit 23
    above = builder.sub(bits, ir.Constant(INTEGERS, [MANTISSA] * LANES))
    exponent = builder.ashr(above, places)
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, places)), CHUNK)
    f = builder.fsub(mantissa, constant(1.0))
    value = builder.fmul(f, _horner(builder, [constant(float(c)) for c in LOGARITHM.coef], f))
    whole = builder.fmul(builder.sitofp(exponent, CHUNK), constant(float(np.log(2))), flags=FUSE)
    return builder.fadd(whole, value, flags=FUSE)
