"""The compiled loops of the trimap curve; numba is imported with this module.

LLVM makes vectors of the short loops below because each writes one array and does one thing;
joined, they ran at a fifth of the speed (`docs/log.md`, 2026-11-22).
"""

import numba
import numpy as np

from atrous.compiling import compiled

__all__ = ["BLOCK", "count_bands", "squared_distances"]

BLOCK = 64
"""Pixels of a row that are judged together, and the largest distance that is measured."""


@compiled
def squared_distances(labels: np.ndarray, reach: int, result: np.ndarray) -> None:
    """Write the squared Euclidean distance of each pixel to the nearest one of another label.

    Two phases, as usual: the distance v along the column, then the least d^2 + v(x + d)^2 over the
    row. From d = h on, where the row has another label, no sum is below h^2, so sums over other
    labels' v need not be told apart. Whole numbers throughout, so exact.

    Args:
        labels: (H, W) uint8.
        reach: At most `BLOCK`; what is further away counts as (reach + 1)^2.
        result: (H, W) int16, written.
    """
    height, width = labels.shape
    far, beyond = np.uint8(reach + 1), np.int16((reach + 1) ** 2)
    along = _column_distances(labels, far)
    beside = np.full((2, width + 4 * BLOCK), far, np.uint8)  # room for a jump at both ends
    squares = np.full(width + 3 * BLOCK, beyond, np.int16)  # of the columns' distances
    middle = squares[BLOCK : BLOCK + width]
    row = np.empty(width + BLOCK, np.int16)
    for y in range(height):
        _square(along[y], middle)
        _square(_row_distances(labels[y], far, beside), row[:width])
        for begin in range(0, width, BLOCK):
            _lower_block(row[begin : begin + BLOCK], squares[begin:], reach, beyond)
        result[y] = row[:width]


@compiled
def count_bands(
    predictions: np.ndarray,
    labels: np.ndarray,
    squared: np.ndarray,
    bands: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count right, true and predicted pixels of each class by their distance to a boundary.

    Args:
        predictions: (H, W) uint8.
        labels: (H, W) uint8; what is no class is void.
        squared: (H, W) int16 of `squared_distances`.
        bands: (D,) the index of the band for each squared distance below D.
        counts: (W, 3, K) int64, added to.
    """
    height, width = labels.shape
    num_classes = counts.shape[2]
    added = np.zeros_like(counts)  # right, missed, wrong: mostly one count a pixel
    for y in range(height):
        for x in range(width):
            square = squared[y, x]
            if square >= len(bands) or labels[y, x] >= num_classes:
                continue
            true, found, band = labels[y, x], predictions[y, x], bands[square]
            if true == found:
                added[band, 0, true] += 1
            else:
                added[band, 1, true] += 1
                if found < num_classes:
                    added[band, 2, found] += 1
    counts[:, 0] += added[:, 0]
    counts[:, 1] += added[:, 0] + added[:, 1]
    counts[:, 2] += added[:, 0] + added[:, 2]


@numba.njit(nogil=True)
def _column_distances(labels: np.ndarray, far: np.uint8) -> np.ndarray:
    """Return the distance to the nearest other label in the same column, `far` at most."""
    height, width = labels.shape
    along = np.empty((height, width), np.uint8)
    same = np.empty(width, np.uint8)
    along[0] = far
    for y in range(1, height):
        _compare(labels[y], labels[y - 1], same)
        along[y] = far
        _step(along[y - 1], same, along[y])
    for y in range(height - 2, -1, -1):
        _compare(labels[y], labels[y + 1], same)
        _step(along[y + 1], same, along[y])
    return along


@numba.njit(nogil=True)
def _compare(row: np.ndarray, other: np.ndarray, same: np.ndarray) -> None:
    """Write 255 where two rows have the same label, else 0."""
    for x in range(len(same)):
        same[x] = np.uint8(-(row[x] == other[x]))


@numba.njit(nogil=True)
def _step(before: np.ndarray, same: np.ndarray, after: np.ndarray) -> None:
    """Lower the distances of a row to those of the row before and one, or one at a boundary."""
    for x in range(len(after)):
        after[x] = min(np.uint8(np.uint8(before[x] & same[x]) + np.uint8(1)), after[x])


@numba.njit(nogil=True)
def _row_distances(labels: np.ndarray, far: np.uint8, room: np.ndarray) -> np.ndarray:
    """Return the distance to the nearest other label in the same row, `far` at most.

    It spreads from the boundaries by jumps of 1, 2, 4, ..., whose sums are all whole numbers.
    `room` is (2, W + 4 BLOCK), `far` beyond the row.
    """
    width, old, new = len(labels), room[0], room[1]
    inner = slice(2 * BLOCK, 2 * BLOCK + width)
    new[inner] = far
    for x in range(1, width):
        if labels[x] != labels[x - 1]:
            new[2 * BLOCK + x - 1] = new[2 * BLOCK + x] = 1
    jump = 1
    while jump < far:
        old, new = new, old
        left, right = (2 * BLOCK - jump, 2 * BLOCK + jump)
        _spread(old[inner], old[left : left + width], old[right : right + width], jump, new[inner])
        jump *= 2
    distances: np.ndarray = new[inner]
    return distances


@numba.njit(nogil=True)
def _spread(
    here: np.ndarray, left: np.ndarray, right: np.ndarray, jump: int, result: np.ndarray
) -> None:
    for x in range(len(result)):
        result[x] = min(here[x], np.uint8(min(left[x], right[x]) + np.uint8(jump)))


@numba.njit(nogil=True)
def _square(values: np.ndarray, result: np.ndarray) -> None:
    for x in range(len(result)):
        result[x] = np.int16(values[x]) * np.int16(values[x])


@numba.njit(nogil=True)
def _lower_block(row: np.ndarray, squares: np.ndarray, reach: int, beyond: np.int16) -> None:
    """Lower the squares of one block of a row to the least d^2 + v(x + d)^2.

    Args:
        row: (BLOCK,) int16: h^2, replaced.
        squares: Of the columns' distances, from `BLOCK` pixels before the block on.
        reach: Largest d.
        beyond: Square that stands for all larger ones.
    """
    highest, lowest = np.int16(0), beyond
    for x in range(BLOCK):
        row[x] = min(row[x], squares[BLOCK + x])
    for x in range(BLOCK):
        highest = max(highest, row[x])
    for x in range(3 * BLOCK):
        lowest = min(lowest, squares[x])
    for distance in range(1, reach + 1):
        rise = np.int16(distance * distance)
        if rise >= highest - lowest:  # nothing can be lowered any more
            break
        left, right = squares[BLOCK - distance :], squares[BLOCK + distance :]
        for x in range(BLOCK):
            row[x] = min(row[x], np.int16(min(left[x], right[x]) + rise))
