"""The compiled loops of the boundary F1 score; numba is imported with this module.

Both look at label maps, never at one mask per class: a pixel has one label, so one pass serves
every class, and only the few pixels on a boundary are searched around
(`benchmarks/bench_evaluation.py`).
"""

import numba
import numpy as np

from atrous.compiling import compiled
from atrous.labels import VOID

__all__ = ["count_met", "find_edges"]


@compiled
def find_edges(
    labels: np.ndarray,
    truth: np.ndarray,
    found: np.ndarray,
    edges: np.ndarray,
    judged: np.ndarray,
    occurs: np.ndarray,
) -> int:
    """Find the boundary of every class of one map, and which of its pixels count.

    A boundary pixel has a 4-neighbour of another label inside the image. It counts if it has one
    where the truth knows both, or if it is a true pixel that was predicted as another class.

    Args:
        labels: (H, W) uint8: `truth`, or `found`.
        truth: (H, W) uint8; void where there is no class.
        found: (H, W) uint8: what is held against `labels`; `labels` itself misses nothing.
        edges: (H + 2 R, W + 2 R) uint8, written: the label of each boundary pixel, void elsewhere,
            with a margin of R.
        judged: (H W, 2) int32, written: (y, x) of the pixels that count.
        occurs: (256,) bool, set where a label of the map occurs.

    Returns:
        How many of them there are.
    """
    height, width = labels.shape
    margin, number = (edges.shape[0] - height) // 2, 0
    edges[:] = VOID
    occurs[labels[0, 0]] = True  # every other label has a boundary
    changes = np.zeros(-(-width // 8) * 8, np.uint8)
    eight = changes.view(np.uint64)
    for y in range(height):
        _mark_changes(labels, y, changes)
        for word in range(len(eight)):
            if not eight[word]:
                continue
            for x in range(8 * word, min(8 * word + 8, width)):
                if not changes[x]:
                    continue
                label = labels[y, x]
                edges[margin + y, margin + x] = label
                occurs[label] = True
                missed = found[y, x] != label and truth[y, x] != VOID
                if missed or _meets_known(labels, truth, y, x):
                    judged[number, 0], judged[number, 1] = y, x
                    number += 1
    return number


@compiled
def count_met(
    labels: np.ndarray,
    judged: np.ndarray,
    other_edges: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count the judged pixels of each class, and those met by `other_edges`.

    Args:
        labels: (H, W) uint8; the label 255 is no class.
        judged: (N, 2) int32: (y, x) of the boundary pixels of `labels` that count.
        other_edges: (H + 2 R, W + 2 R) of `find_edges` for the other map.
        offsets: (M, 2) int: (dy, dx) within the tolerance R, nearest first.
        counts: (K, 2) int64, added to: judged pixels, those of them that are met.
    """
    margin, pitch = (other_edges.shape[0] - labels.shape[0]) // 2, other_edges.shape[1]
    flat = other_edges.ravel()
    jumps = offsets[:, 0] * pitch + offsets[:, 1]
    for index in range(len(judged)):
        y, x = judged[index, 0], judged[index, 1]
        value = labels[y, x]
        if value >= len(counts):
            continue
        counts[value, 0] += 1
        place = (margin + y) * pitch + margin + x
        for jump in jumps:
            if flat[place + jump] == value:
                counts[value, 1] += 1
                break


@numba.njit(nogil=True)
def _mark_changes(labels: np.ndarray, y: int, changes: np.ndarray) -> None:
    """Write for one row which pixels have a 4-neighbour of another label inside the image."""
    height, width = labels.shape
    here, above, below = labels[y], labels[max(y - 1, 0)], labels[min(y + 1, height - 1)]
    for x in range(width):
        changes[x] = (here[x] != above[x]) | (here[x] != below[x])
    left, right = here[: width - 1], here[1:]
    for x in range(width - 1):
        changes[x] |= left[x] != right[x]
    later = changes[1:]
    for x in range(width - 1):
        later[x] |= left[x] != right[x]


@numba.njit(nogil=True)
def _meets_known(labels: np.ndarray, truth: np.ndarray, y: int, x: int) -> bool:
    """Whether a pixel of a known class has a 4-neighbour of another label outside void."""
    height, width = labels.shape
    if truth[y, x] == VOID:
        return False
    for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        v, u = y + dy, x + dx
        inside = 0 <= v < height and 0 <= u < width
        if inside and truth[v, u] != VOID and labels[v, u] != labels[y, x]:
            return True
    return False
