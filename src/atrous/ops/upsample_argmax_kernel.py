"""The compiled form of `upsample_argmax` on the CPU; numba is imported with this module.

One plain function: numba's `parallel=True` would compile five times as long, and its threads may
not be entered twice.
"""

import numba
import numpy as np

from atrous.compiling import compiled

__all__ = ["label_blocks"]


@compiled
def label_blocks(
    scores: np.ndarray,
    labels: np.ndarray,
    first_y: np.ndarray,
    weight_y: np.ndarray,
    first_x: np.ndarray,
    weight_x: np.ndarray,
    begin: int,
    end: int,
) -> None:
    """Fill the rows of `labels` that lie between coarse rows `begin` and `end`.

    The idea stands in `upsample_argmax`. Not fast-math: both forms must round alike.

    Args:
        scores: (K, h, w).
        labels: (H, W), written.
        first_y: (h + 1,) first label row of each block; block i ends where i + 1 begins.
        weight_y: (H,) weight of the lower cell.
        first_x: (w + 1,) first label column of each block.
        weight_x: (W,) weight of the right cell.
        begin: First coarse row.
        end: Coarse row after the last.
    """
    num_classes, height, width = scores.shape
    winners = np.zeros((2, width), np.uint8)
    best = np.zeros(width, np.float32)
    corners = np.empty((num_classes, 4), np.float32)
    rivals = np.empty(num_classes, np.uint8)
    for i in range(begin, end):
        if first_y[i] == first_y[i + 1]:  # shrinking: no label falls here
            continue
        below = min(i + 1, height - 1)
        _find_winners(scores, i, best, winners[0])
        _find_winners(scores, below, best, winners[1])
        for j in range(width):
            right = min(j + 1, width - 1)
            winner = winners[0, j]
            agreed = (winner == winners[0, right]) & (winner == winners[1, j])
            count = 0
            if not (agreed & (winner == winners[1, right])):
                count = _find_rivals(scores, (i, below), (j, right), corners, rivals)
            for y in range(first_y[i], first_y[i + 1]):
                for x in range(first_x[j], first_x[j + 1]):
                    highest = -np.inf
                    for r in range(count):
                        upper = corners[r, 0] + weight_x[x] * corners[r, 1]
                        lower = corners[r, 2] + weight_x[x] * corners[r, 3]
                        score = upper + weight_y[y] * (lower - upper)
                        if score > highest:
                            highest = score
                            winner = rivals[r]
                    labels[y, x] = winner


@numba.njit(nogil=True)
def _find_winners(scores: np.ndarray, row: int, best: np.ndarray, winners: np.ndarray) -> None:
    """Write the best score and its class for every cell of a coarse row."""
    for j in range(scores.shape[2]):
        best[j] = scores[0, row, j]
        winners[j] = 0
    for k in range(1, scores.shape[0]):
        for j in range(scores.shape[2]):
            if scores[k, row, j] > best[j]:
                best[j] = scores[k, row, j]
                winners[j] = k


@numba.njit(nogil=True)
def _find_rivals(
    scores: np.ndarray,
    rows: tuple[int, int],
    columns: tuple[int, int],
    corners: np.ndarray,
    rivals: np.ndarray,
) -> int:
    """Write the classes that can win in a block, and their left scores and slopes; return how many.

    Nothing else falls below the best of all worst corners.
    """
    floor = -np.inf
    for k in range(scores.shape[0]):
        a, b = scores[k, rows[0], columns[0]], scores[k, rows[0], columns[1]]
        c, d = scores[k, rows[1], columns[0]], scores[k, rows[1], columns[1]]
        floor = max(floor, min(min(a, b), min(c, d)))
    count = 0
    for k in range(scores.shape[0]):
        a, b = scores[k, rows[0], columns[0]], scores[k, rows[0], columns[1]]
        c, d = scores[k, rows[1], columns[0]], scores[k, rows[1], columns[1]]
        if max(max(a, b), max(c, d)) >= floor:
            rivals[count] = k
            corners[count, 0], corners[count, 1] = a, b - a
            corners[count, 2], corners[count, 3] = c, d - c
            count += 1
    return count
