"""The compiled loops of the boundary scores; numba is imported with this module.

All of them look at label maps, never at one mask per class: a pixel has one label, so one pass
serves every class (`benchmarks/bench_evaluation.py`). The result of the compilation is kept beside
this file, or in the user's cache where that is read-only.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["FAR", "count_bands", "count_met", "count_ring", "squared_distances"]

FAR = 1 << 15
"""Pixels: no distance is larger; its square fits into 32 bits."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        result: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder is writable: compile in every process
        result = numba.njit(nogil=True)(function)
    return result


def _count_met(
    labels: np.ndarray,
    judged: np.ndarray,
    other_edges: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count the judged pixels of each class in `labels`, and those met by `other_edges`.

    Args:
        labels: (H, W) uint8; the label 255 is no class.
        judged: (H, W) bool: the boundary pixels of `labels` that count.
        other_edges: (H, W) uint8: the class of the other map's boundary pixels, 255 elsewhere.
        offsets: (M, 2) int: (dy, dx) within the tolerance, nearest first.
        counts: (K, 2) int64, added to: judged pixels, those of them that are met.
    """
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            if not judged[y, x] or labels[y, x] >= len(counts):
                continue
            value = labels[y, x]
            counts[value, 0] += 1
            for index in range(len(offsets)):
                v, u = y + offsets[index, 0], x + offsets[index, 1]
                if 0 <= v < height and 0 <= u < width and other_edges[v, u] == value:
                    counts[value, 1] += 1
                    break


def _squared_distances(labels: np.ndarray, result: np.ndarray) -> None:
    """Write the squared Euclidean distance of each pixel to the nearest one of another label.

    The two phases of Meijster, Roerdink and Hesselink (A general algorithm for computing distance
    transforms in linear time, 2000): along columns, then along rows by the lower envelope of
    parabolas. The second runs over each stretch of one label alone; what borders on it has another
    label, so distance 0. Whole numbers throughout, so exact.

    Args:
        labels: (H, W) uint8.
        result: (H, W) int32, written; FAR^2 at most, and where there is no other label.
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
    along = np.full((height, width), FAR, np.int32)
    for y in range(1, height):
        here, there, before, after = labels[y], labels[y - 1], along[y - 1], along[y]
        for x in range(width):  # without branches, so compiled into vectors
            after[x] = min(before[x] * (here[x] == there[x]) + 1, FAR)
    for y in range(height - 2, -1, -1):
        here, there, before, after = labels[y], labels[y + 1], along[y + 1], along[y]
        for x in range(width):
            after[x] = min(before[x] * (here[x] == there[x]) + 1, after[x])
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
            result[x] = min((x - places[top]) ** 2 + heights[top], FAR * FAR)
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
