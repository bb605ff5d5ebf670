"""Counting: how many pixels of each true class were given each label."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["confusion_matrix"]

CHUNK = 1 << 23
"""Pixels per histogram: OpenCV's counts are float32, exact up to 2**24."""

SHARED = 1 << 20
"""From so many pixels on threads share the work; below, starting them costs more."""

MOST_THREADS = 4
"""Each fills a table of its own, so many threads gain nothing."""


def confusion_matrix(
    predictions: np.ndarray, labels: np.ndarray, num_classes: int, ignore_index: int = VOID
) -> NDArray[np.int64]:
    """Count pixels by (true class, predicted class); void pixels are left out entirely.

    One joint histogram of all 256 x 256 pairs counts and checks the range in a single pass
    (`benchmarks/bench_confusion.py`).

    Args:
        predictions: Integers of any shape; every value 0..K-1 except under void.
        labels: Same shape; values 0..K-1 or `ignore_index`.
        num_classes: K, at most 255.
        ignore_index: Label of void pixels.

    Returns:
        (K, K) int64; rows are true classes, columns predictions.

    Raises:
        InputError: Shapes differ, or a value is no class; the message gives it and its count.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 255]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    if predictions.shape != labels.shape:
        raise InputError(
            f"the prediction has shape {predictions.shape}, the labels {labels.shape}; "
            "predict at the size of the labels"
        )
    joint = _joint_histogram(_bytes(labels, "labels"), _bytes(predictions, "predictions"))
    joint[ignore_index] = 0
    _check(joint.sum(1), num_classes, "labels")
    _check(joint.sum(0), num_classes, "predictions")
    return joint[:num_classes, :num_classes]


def _joint_histogram(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (256, 256) counts of pairs of bytes."""
    threads = min(MOST_THREADS, cv2.getNumThreads()) if rows.size >= SHARED else 1
    step = max(1, min(CHUNK, -(-rows.size // threads)))
    starts = range(0, rows.size, step)

    def count(start: int) -> NDArray[np.int64]:
        pair = [rows[start : start + step], columns[start : start + step]]
        counts = cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256])
        return counts.astype(np.int64)

    joint = np.zeros((256, 256), np.int64)  # int64: 2975 images of 1024 x 2048 overflow int32
    if threads == 1:
        for start in starts:
            joint += count(start)
        return joint
    with ThreadPoolExecutor(threads) as pool:  # OpenCV counts without the GIL
        for counts in pool.map(count, starts):
            joint += counts
    return joint


def _bytes(values: np.ndarray, kind: str) -> NDArray[np.uint8]:
    """Return `values` flat as uint8, after a look at what would not fit."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype == np.uint8:
        return flat
    if flat.dtype.kind not in "bui":
        raise InputError(f"the {kind} are {flat.dtype}; give integers")
    if flat.size and (flat.min() < 0 or flat.max() > 255):
        wrong = flat[(flat < 0) | (flat > 255)]
        raise InputError(f"the {kind} hold {wrong[0]} ({wrong.size} pixels out of 0..255)")
    return flat.astype(np.uint8)


def _check(counts: NDArray[np.int64], num_classes: int, kind: str) -> None:
    wrong = np.flatnonzero(counts[num_classes:]) + num_classes
    if wrong.size:
        found = ", ".join(f"{value} ({counts[value]} pixels)" for value in wrong[:5])
        more = f" and {wrong.size - 5} more values" if wrong.size > 5 else ""
        raise InputError(
            f"the {kind} hold {found}{more}, but the classes are 0..{num_classes - 1}; "
            "map or name those values"
        )
