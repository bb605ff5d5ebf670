"""The compiled loops over objects; numba is imported with this module.

Pixels are looked at only to cut the rows into runs in which both maps stay the same. All else goes
from run to run: joining them to objects (Rosenfeld and Pfaltz, JACM 1966: neighbours are noted as
equivalent, then each takes the first of its equivalents) and counting.
"""

import numba
import numpy as np

from atrous.compiling import compiled

__all__ = ["count_objects"]


@compiled
def count_objects(
    maps: np.ndarray,
    others: np.ndarray,
    smallest: np.ndarray,
    counts: np.ndarray,
    matrices: np.ndarray,
) -> None:
    """Count the objects of one map by class and size, and what the other map calls their pixels.

    Args:
        maps: (H, W) uint8, the objects' own classes; below 2^31 pixels.
        others: (H, W) uint8. Where either map holds no class there is no object.
        smallest: (S,) least area of each size, ascending from 0.
        counts: (K, S, 4) int64, added to: objects, those of which half agrees, pixels, agreeing.
        matrices: (S, K, K) int64, added to: pixels by size, own class, class in `others`.
    """
    num_classes, width = len(counts), maps.shape[1]
    starts, rows = _find_runs(maps, others)
    own, other = _read_runs(starts, maps.reshape(-1), others.reshape(-1), num_classes)
    objects = _join_runs(starts, rows, own, width, num_classes)
    areas, agreeing = np.zeros((2, len(own)), np.int32)  # of each object, at its first run
    for run in range(len(own)):
        length = starts[run + 1] - starts[run]
        areas[objects[run]] += length
        agreeing[objects[run]] += length * (own[run] == other[run])
    for run in range(len(own)):
        if own[run] >= num_classes:
            continue
        first = objects[run]
        size = np.searchsorted(smallest, areas[first], side="right") - 1
        matrices[size, own[run], other[run]] += starts[run + 1] - starts[run]
        if run == first:
            counts[own[run], size, 0] += 1
            counts[own[run], size, 1] += 2 * agreeing[run] >= areas[run]
            counts[own[run], size, 2] += areas[run]
            counts[own[run], size, 3] += agreeing[run]


@numba.njit(nogil=True)
def _find_runs(maps: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where runs start, as places in the flat image, and which one starts each row.

    Both have one more at the end: (R + 1,) the number of pixels, and (H + 1,) R.
    """
    height, width = maps.shape
    number = height
    for y in range(height):
        number += _count_changes(maps[y], others[y])
    starts, rows = np.empty(number + 1, np.int32), np.empty(height + 1, np.int32)
    run = 0
    for y in range(height):
        rows[y] = run
        starts[run] = y * width
        run += 1
        for x in range(1, width):
            starts[run] = y * width + x  # to be kept or written over: no jump to mispredict
            run += (maps[y, x] != maps[y, x - 1]) | (others[y, x] != others[y, x - 1])
    starts[number], rows[height] = maps.size, number
    return starts, rows


@numba.njit(nogil=True)
def _count_changes(row: np.ndarray, other: np.ndarray) -> int:
    changes = 0
    for x in range(1, len(row)):
        changes += (row[x] != row[x - 1]) | (other[x] != other[x - 1])
    return changes


@numba.njit(nogil=True)
def _read_runs(
    starts: np.ndarray, maps: np.ndarray, others: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each run in both maps, K for both where one holds none."""
    own, other = np.empty((2, len(starts) - 1), np.uint8)
    for run in range(len(own)):
        own[run], other[run] = maps[starts[run]], others[starts[run]]
        if max(own[run], other[run]) >= num_classes:
            own[run] = other[run] = num_classes
    return own, other


@numba.njit(nogil=True)
def _join_runs(
    starts: np.ndarray, rows: np.ndarray, own: np.ndarray, width: int, num_classes: int
) -> np.ndarray:
    """Return (R,): the first run of the object that each run belongs to."""
    equals = np.arange(len(own)).astype(np.int32)  # each names itself or an earlier one
    for y in range(len(rows) - 1):
        above = rows[max(y - 1, 0)]
        for run in range(rows[y], rows[y + 1]):
            if run > rows[y] and own[run] == own[run - 1]:
                equals[run] = run - 1
            if y == 0 or own[run] >= num_classes:
                continue
            while starts[above + 1] + width < starts[run]:  # it ends before the corner
                above += 1
            near = above
            while near < rows[y] and starts[near] + width <= starts[run + 1]:
                if own[near] == own[run]:
                    _join(equals, near, run)
                near += 1
    for run in range(len(own)):
        equals[run] = equals[equals[run]]
    return equals


@numba.njit(nogil=True)
def _join(equals: np.ndarray, one: int, another: int) -> None:
    """Let the first equivalents of both be one."""
    first, second = _first(equals, one), _first(equals, another)
    equals[max(first, second)] = min(first, second)


@numba.njit(nogil=True)
def _first(equals: np.ndarray, run: int) -> int:
    while equals[run] != run:
        equals[run] = equals[equals[run]]  # shortens the way of the next
        run = equals[run]
    return run
