"""bfloat16 in compiled code, which has no such type: the upper half of a float32, as uint16."""

import numba
import numpy as np

__all__ = ["narrowed", "widened"]

HALF = np.uint32(16)
"""Bits."""
BELOW_HALF, ONE = np.uint32(0x7FFF), np.uint32(1)


@numba.njit(nogil=True, inline="always")
def widened(half: np.uint16) -> np.uint32:
    """Return the bits of the float32 that equals a bfloat16."""
    return np.uint32(half) << HALF


@numba.njit(nogil=True, inline="always")
def narrowed(bits: np.uint32) -> np.uint16:
    """Return the bfloat16 nearest to a finite float32 given by its bits; halves go to even."""
    return np.uint16((bits + BELOW_HALF + ((bits >> HALF) & ONE)) >> HALF)
