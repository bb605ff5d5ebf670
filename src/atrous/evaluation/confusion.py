"""Counting: how many pixels of each true class were given each label."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["confusion_matrix"]

SHARED = 1 << 20
"""From so many pixels on threads share the work; below, starting them costs more."""

MOST_THREADS = 4
"""Each fills tables of its own, so many threads gain nothing."""

MOST = 1 << 31
"""Pixels that are counted in one go: counts are of 32 bits on the way."""


def confusion_matrix(
    predictions: np.ndarray, labels: np.ndarray, num_classes: int, ignore_index: int = VOID
) -> NDArray[np.int64]:
    """Count pixels by (true class, predicted class); void pixels are left out entirely.

    One pass counts and checks the range (`benchmarks/bench_confusion.py`).

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
    truth, found = _flat(labels, "labels"), _flat(predictions, "predictions")
    pairs, void = _count(truth, found, num_classes, ignore_index)
    matrix = pairs[:num_classes, :num_classes].copy()
    if ignore_index < num_classes:
        pairs[ignore_index] = matrix[ignore_index] = 0
    elif pairs[num_classes].any():  # void, or no class at all
        pairs[num_classes] = pairs[num_classes].sum() - void, *[0] * num_classes
    if pairs[num_classes].any() or pairs[:num_classes, num_classes].any():
        known = truth != ignore_index
        _refuse(truth[known], num_classes, "labels")
        _refuse(found[known], num_classes, "predictions")
    return matrix


def _count(
    truth: np.ndarray, found: np.ndarray, num_classes: int, ignore_index: int
) -> tuple[NDArray[np.int64], int]:
    """Return (K + 1, K + 1) counts and that of void, of many pixels on several threads."""
    from atrous.evaluation.confusion_kernel import count_pairs  # numba takes half a second to load

    rows, columns = _unsigned(truth), _unsigned(found)
    limits = np.iinfo(truth.dtype)
    has_void = limits.min <= ignore_index <= limits.max
    value = _unsigned(np.array([ignore_index if has_void else 0], truth.dtype))[0]
    threads = min(MOST_THREADS, cv2.getNumThreads()) if truth.size >= SHARED else 1
    pieces = max(threads, -(-truth.size // MOST))
    parts = [*zip(np.array_split(rows, pieces), np.array_split(columns, pieces), strict=True)]
    if threads == 1:
        counted = [count_pairs(*part, num_classes, value) for part in parts]
    else:
        own, *rest = parts
        with ThreadPoolExecutor(threads - 1) as pool:  # compiled code holds no GIL
            others = [pool.submit(count_pairs, *part, num_classes, value) for part in rest]
            mine = count_pairs(*own, num_classes, value)
            counted = [mine, *(other.result() for other in others)]
    pairs: NDArray[np.int64] = sum((counts for counts, _ in counted[1:]), counted[0][0])
    return pairs, sum(void for _, void in counted) if has_void else 0


def _unsigned(values: np.ndarray) -> np.ndarray:
    """Return the same bits as an unsigned type: what is below 0 is then above every class."""
    return values.view(f"u{values.itemsize}")


def _flat(values: np.ndarray, kind: str) -> np.ndarray:
    """Return integers as (N,), contiguous, of a type that can hold 255."""
    if values.dtype.kind not in "bui":
        raise InputError(f"the {kind} are {values.dtype}; give integers")
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat.astype(np.int16) if flat.dtype in (np.bool_, np.int8) else flat


def _refuse(values: np.ndarray, num_classes: int, kind: str) -> None:
    """Tell of values that are no class, if there are any."""
    wrong, counts = np.unique(values[(values < 0) | (values >= num_classes)], return_counts=True)
    if wrong.size:
        pairs = zip(wrong[:5], counts[:5], strict=True)
        told = ", ".join(f"{value} ({count} pixels)" for value, count in pairs)
        more = f" and {wrong.size - 5} more values" if wrong.size > 5 else ""
        raise InputError(
            f"the {kind} hold {told}{more}, but the classes are 0..{num_classes - 1}; "
            "map or name those values"
        )
