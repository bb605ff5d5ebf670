"""The compiled loop of the confusion matrix; numba is imported with this module."""

import numba
import numpy as np

from atrous.ops.compiling import compiled

__all__ = ["count_pairs"]

LANES = 4
"""Tables that neighbouring pixels take in turn. Neighbours mostly hold the same pair, and one count
cannot be raised before its last raise is stored: alone, a table takes twice the time."""


@compiled
def count_pairs(rows: np.ndarray, columns: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pairs of labels.

    Args:
        rows: (N,) integers of any kind.
        columns: (N,) integers of any kind.
        num_classes: K.

    Returns:
        (K + 1, K + 1) int64; the last row and column hold whatever is not 0..K-1.
    """
    side, bound = num_classes + 1, np.uint64(num_classes)
    tables = np.zeros((LANES, side * side), np.int64)
    whole = len(rows) // LANES * LANES
    for index in range(0, whole, LANES):
        for lane in range(LANES):
            place = _place(rows[index + lane], columns[index + lane], bound)
            tables[lane, place] += 1
    for index in range(whole, len(rows)):
        tables[0, _place(rows[index], columns[index], bound)] += 1
    return tables.sum(0).reshape(side, side)


@numba.njit(nogil=True)
def _place(row: int, column: int, bound: np.uint64) -> np.uint64:
    """Return where a pair is counted; below 0 is far above K as an unsigned number."""
    side = bound + np.uint64(1)
    return min(np.uint64(row), bound) * side + min(np.uint64(column), bound)
