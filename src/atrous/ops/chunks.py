"""Instructions for a chunk, float32 numbers in a vector register, as compiled code is written.

A chunk is eight lanes wide; rows of few labels are made of one chunk of four or two. Each function
takes llvmlite's builder and chunks, and returns the chunk that comes out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba.extending import intrinsic

__all__ = [
    "CHUNK",
    "FUSE",
    "INTEGERS",
    "LANES",
    "apart",
    "chunk_of",
    "constant",
    "exponential_of",
    "integers_of",
    "joined",
    "larger",
    "operation",
    "spread",
]

LANES = 8
"""float32 numbers in a chunk, where nothing else is said."""


def chunk_of(lanes: int) -> Any:
    """Return the type of a chunk of so many lanes."""
    return ir.VectorType(ir.FloatType(), lanes)


def integers_of(lanes: int) -> Any:
    """Return the type of as many 32-bit integers."""
    return ir.VectorType(ir.IntType(32), lanes)


CHUNK = chunk_of(LANES)
INTEGERS = integers_of(LANES)
FUSE = ("contract",)

# 2^x over [-1/2, 1/2]: a Chebyshev interpolation of degree 5, off by 2e-7 of the value at most
POWERS = np.polynomial.Chebyshev.interpolate(np.exp2, 5, [-0.5, 0.5]).convert(
    kind=np.polynomial.Polynomial
)
ROUNDER = 1.5 * 2**23
"""Adding this to a small float32 rounds it to an integer, which then stands in the lowest bits."""
LOWEST = -87.0
"""exp of anything lower is taken as exp of this, 1.6e-38, the least that is not denormal."""


def operation(build: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operation of compiled code out of what writes its instructions."""
    made: Callable[..., Any] = intrinsic(build)
    return made


def apart(builder: Any, row: Any, chunks: int) -> list[Any]:
    """Return the chunks of a row."""
    return [builder.extract_value(row, i) for i in range(chunks)]


def joined(builder: Any, chunks: list[Any]) -> Any:
    """Return the row of some chunks."""
    row = ir.Constant(ir.ArrayType(chunks[0].type, len(chunks)), ir.Undefined)
    for i, chunk in enumerate(chunks):
        row = builder.insert_value(row, chunk, i)
    return row


def exponential_of(builder: Any, chunk: Any) -> Any:
    """Return 2^n 2^f with x / ln 2 = n + f, |f| <= 1/2: f by a polynomial, n in the exponent."""
    kind, lanes = chunk.type, chunk.type.count
    integers = integers_of(lanes)
    chunk = larger(builder, chunk, constant(LOWEST, lanes))
    exponent = builder.fmul(chunk, constant(1 / np.log(2), lanes), flags=FUSE)
    rounded = builder.fadd(exponent, constant(ROUNDER, lanes))
    whole = builder.fsub(rounded, constant(ROUNDER, lanes))
    fraction = builder.fsub(exponent, whole)
    *others, power = (constant(float(c), lanes) for c in POWERS.coef)
    for coefficient in reversed(others):
        power = builder.fadd(builder.fmul(power, fraction, flags=FUSE), coefficient, flags=FUSE)
    shift = ir.Constant(integers, [23] * lanes)  # the exponent of a float32 begins at bit 23
    steps = builder.shl(builder.bitcast(rounded, integers), shift)
    return builder.bitcast(builder.add(builder.bitcast(power, integers), steps), kind)


def larger(builder: Any, left: Any, right: Any) -> Any:
    """Return the larger numbers, lane by lane."""
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def spread(builder: Any, number: Any, lanes: int = LANES) -> Any:
    """Return a chunk with one number in every lane."""
    nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    lane = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(lane, nothing, ir.Constant(integers_of(lanes), [0] * lanes))


def constant(number: float, lanes: int = LANES) -> Any:
    """Return a chunk of one number known now."""
    return ir.Constant(chunk_of(lanes), [float(np.float32(number))] * lanes)
