"""The compiled loop of the confusion matrix; numba is imported with this module."""

import numba
import numpy as np

from atrous.compiling import compiled

__all__ = ["count_pairs"]

LANES = 8
"""Tables that neighbouring pixels take in turn. Neighbours mostly hold the same pair, and one count
cannot be raised before its last raise is stored: alone, a table takes twice the time. Counts are of
32 bits, so that eight tables of 21 classes fill half of the smallest cache."""

BLOCK = 1024
"""Pixels whose places in the table are found at once, in vector registers: that halves the time."""


@compiled
def count_pairs(
    rows: np.ndarray, columns: np.ndarray, num_classes: int, void: np.unsignedinteger
) -> tuple[np.ndarray, int]:
    """Count pairs of labels, and the rows that are void.

    Args:
        rows: (N,) unsigned integers that can hold K; N below 2^32.
        columns: The same.
        num_classes: K, at most 255.
        void: Of the type of the rows.

    Returns:
        (K + 1, K + 1) int64; the last row and column hold whatever is K or more. How many rows
        are `void`.
    """
    side = num_classes + 1
    tables = np.zeros((LANES, side * side), np.uint32)
    a, b, c, d = tables[0], tables[1], tables[2], tables[3]
    e, f, g, h = tables[4], tables[5], tables[6], tables[7]
    room = np.empty((2, BLOCK), np.uint16)
    num_void = 0
    for begin in range(0, len(rows), BLOCK):
        number = min(BLOCK, len(rows) - begin)
        places, beside = room[0, :number], room[1, :number]
        num_void += _equal(rows[begin : begin + number], void)
        _clip(rows[begin : begin + number], num_classes, places)
        _clip(columns[begin : begin + number], num_classes, beside)
        _join(places, np.uint16(side), beside)
        whole = number // LANES * LANES
        for index in range(0, whole, LANES):
            a[places[index]] += 1
            b[places[index + 1]] += 1
            c[places[index + 2]] += 1
            d[places[index + 3]] += 1
            e[places[index + 4]] += 1
            f[places[index + 5]] += 1
            g[places[index + 6]] += 1
            h[places[index + 7]] += 1
        for index in range(whole, number):
            a[places[index]] += 1
    total: np.ndarray = tables.astype(np.int64).sum(0).reshape(side, side)
    return total, num_void


@numba.njit(nogil=True)
def _equal(values: np.ndarray, value: np.unsignedinteger) -> int:
    """Count a value."""
    found = 0
    for index in range(len(values)):
        found += values[index] == value
    return found


@numba.njit(nogil=True)
def _clip(values: np.ndarray, num_classes: int, result: np.ndarray) -> None:
    """Write K for what is no class. All in the type of the values: a wider one fills registers."""
    bound = values.dtype.type(num_classes)
    for index in range(len(result)):
        result[index] = min(values[index], bound)


@numba.njit(nogil=True)
def _join(places: np.ndarray, side: np.uint16, columns: np.ndarray) -> None:
    """Make rows and columns places in a table with K + 1 columns: below 2^16."""
    for index in range(len(places)):
        places[index] = np.uint16(places[index] * side) + columns[index]
