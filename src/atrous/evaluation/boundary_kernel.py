"""The compiled loops of the boundary scores; numba is imported with this module.

All of them look at label maps, never at one mask per class: a pixel has one label, so one pass
serves every class (`benchmarks/bench_evaluation.py`). The result of the compilation is kept beside
this file, or in the user's cache where that is read-only.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["count_bands", "count_met", "count_ring", "squared_distances"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        result: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder is writable: compile in every process
        result = numba.njit(nogil=True)(function)
    return result


def _count_met(
    labels: np.ndarray,
    others: np.ndarray,
    void: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count the boundary pixels of each class in `labels`, and those met by `others`.

    Args:
        labels: (H, W) uint8; the label 255 is no class.
        others: (H, W) uint8, where a boundary pixel of the same class must lie.
        void: (H, W) bool: pixels of `labels` that are not judged.
        offsets: (M, 2) int: (dy, dx) within the tolerance, nearest first.
        counts: (K, 3) int64, added to: boundary pixels, judged ones, judged and met ones.
    """
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            value = labels[y, x]
            if value >= len(counts) or not _is_edge(labels, y, x):
                continue
            counts[value, 0] += 1
            if void[y, x]:
                continue
            counts[value, 1] += 1
            for index in range(len(offsets)):
                v, u = y + offsets[index, 0], x + offsets[index, 1]
                inside = 0 <= v < height and 0 <= u < width
                if inside and others[v, u] == value and _is_edge(others, v, u):
                    counts[value, 2] += 1
                    break


@numba.njit(nogil=True, inline="always")
def _is_edge(labels: np.ndarray, y: int, x: int) -> bool:
    """Tell whether a 4-neighbour inside the image has another label."""
    height, width = labels.shape
    value = labels[y, x]
    return bool(
        (y > 0 and labels[y - 1, x] != value)
        or (y + 1 < height and labels[y + 1, x] != value)
        or (x > 0 and labels[y, x - 1] != value)
        or (x + 1 < width and labels[y, x + 1] != value)
    )


def _squared_distances(labels: np.ndarray, result: np.ndarray) -> None:
    """Write the squared Euclidean distance of each pixel to the nearest one of another label.

    The two phases of Meijster, Roerdink and Hesselink (A general algorithm for computing distance
    transforms in linear time, 2000): along columns, then along rows by the lower envelope of
    parabolas. The second runs over each stretch of one label alone; what borders on it has another
    label, so distance 0. Whole numbers throughout, so exact.

    Args:
        labels: (H, W) uint8.
        result: (H, W) int32, written; (H + W)^2 or more where there is no other label.
    """
    height, width = labels.shape
    along = _column_distances(labels)
    envelope = np.empty((3, width), np.int64)
    for y in range(height):
        start = 0
        while start < width:
            end = start + 1
            while end < width and labels[y, end] == labels[y, start]:
                end += 1
            _row_distances(along[y], start, end, envelope, result[y])
            start = end


@numba.njit(nogil=True)
def _column_distances(labels: np.ndarray) -> np.ndarray:
    """Return the distance to the nearest other label in the same column, (H, W) int32."""
    height, width = labels.shape
    along = np.full((height, width), height + width, np.int32)
    for y in range(1, height):
        for x in range(width):
            same = labels[y, x] == labels[y - 1, x]
            along[y, x] = min(along[y - 1, x] + 1, along[y, x]) if same else 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            same = labels[y, x] == labels[y + 1, x]
            along[y, x] = min(along[y + 1, x] + 1, along[y, x]) if same else 1
    return along


@numba.njit(nogil=True)
def _row_distances(
    along: np.ndarray, start: int, end: int, envelope: np.ndarray, result: np.ndarray
) -> None:
    """Write the squared distances of the stretch start..end of one row, all of one label.

    `envelope` is room for the parabolas that are lowest somewhere: place, height, from where on.
    """
    places, heights, begins = envelope[0], envelope[1], envelope[2]
    first, last, top = max(start - 1, 0), min(end, len(along) - 1), -1
    for x in range(first, last + 1):
        rise = np.int64(along[x]) ** 2 if start <= x < end else np.int64(0)
        while top >= 0 and (
            (begins[top] - places[top]) ** 2 + heights[top] > (begins[top] - x) ** 2 + rise
        ):
            top -= 1
        begin = first
        if top >= 0:
            above = x * x - places[top] ** 2 + rise - heights[top]
            begin = above // (2 * (x - places[top])) + 1
        if begin <= last:
            top += 1
            places[top], heights[top], begins[top] = x, rise, begin
    for x in range(last, first - 1, -1):
        if start <= x < end:
            result[x] = (x - places[top]) ** 2 + heights[top]
        if x == begins[top]:
            top -= 1


def _count_bands(
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
        squared: (H, W) int32 of `squared_distances`.
        bands: (D,) the index of the band for each squared distance below D.
        counts: (W, 3, K) int64, added to.
    """
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            true, found = labels[y, x], predictions[y, x]
            if true < counts.shape[2] and squared[y, x] < len(bands):
                band = bands[squared[y, x]]
                counts[band, 1, true] += 1
                if found < counts.shape[2]:
                    counts[band, 2, found] += 1
                    counts[band, 0, true] += true == found


def _count_ring(
    predictions: np.ndarray,
    labels: np.ndarray,
    near_found: np.ndarray,
    near_true: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count pixels of each class near its own boundary, in the truth, the prediction and both.

    Args:
        predictions: (H, W) uint8.
        labels: (H, W) uint8; what is no class is void.
        near_found: (H, W) bool: near a boundary of the predictions.
        near_true: (H, W) bool: near a boundary of the labels.
        counts: (3, K) int64, added to: both, truth, prediction.
    """
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            true, found = labels[y, x], predictions[y, x]
            if true >= counts.shape[1]:
                continue
            if near_true[y, x]:
                counts[1, true] += 1
            if near_found[y, x] and found < counts.shape[1]:
                counts[2, found] += 1
                if near_true[y, x] and true == found:
                    counts[0, true] += 1


count_met = _compiled(_count_met)
squared_distances = _compiled(_squared_distances)
count_bands = _compiled(_count_bands)
count_ring = _compiled(_count_ring)
