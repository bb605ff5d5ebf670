"""Maps of K labels to rows of K numbers and back, in compiled code.

Pixels are counted strip by strip, row by row within a strip of the image, so that neighbours in
both directions lie close in memory and use the same vertices of the lattice.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.ops.rows import highest, load, maximum, store, total

__all__ = ["COLUMNS", "pack", "place", "unpack"]

COLUMNS = 32
"""Width of a strip."""


@compiled
def place(number: int, height: int, width: int) -> Any:
    """Return (y, x, run): where a pixel lies, and how many follow it in its row of the strip."""
    strip = number // (COLUMNS * height)
    left = strip * COLUMNS
    across = min(COLUMNS, width - left)
    inside = number - left * height
    y, x = inside // across, inside % across
    return y, left + x, across - x


@compiled
def pack(
    maps: np.ndarray,
    labels: np.ndarray,
    least: np.ndarray,
    begin: int,
    end: int,
    rows: np.ndarray,
    bounds: tuple[float, float],
    shape: tuple[int, ...],
) -> Any:
    """Bring probabilities into rows, raised to a least value and normalised.

    Args:
        maps: (K, H, W) float32, contiguous.
        labels: (L,) int64 numbers of the labels to take.
        least: (1, padded L) float32 least values; 0 in the padding.
        begin: First pixel.
        end: Pixel after the last.
        rows: (N, padded L) float32, written from `begin` to `end`.
        bounds: Least and greatest sum of a pixel's values.
        shape: See `row_shapes`.

    Returns:
        The number of pixels with a negative value or a sum out of bounds; NaN is out of bounds.
    """
    height, width = maps.shape[1:]
    wrong = 0
    p = begin
    while p < end:
        y, x, run = place(p, height, width)
        run = min(run, end - p)
        _spread(maps, labels, y, x, run, rows, p)
        for i in range(p, p + run):
            row = load(rows, i, shape)
            whole = total(row)
            has_negative = highest(np.float32(-1) * row) > 0
            wrong += has_negative or not bounds[0] <= whole <= bounds[1]
            row = maximum(row, load(least, 0, shape))
            store(rows, i, (np.float32(1) / total(row)) * row)
        p += run
    return wrong


@compiled
def unpack(rows: np.ndarray, labels: np.ndarray, begin: int, end: int, maps: np.ndarray) -> None:
    """Write rows back as maps.

    Args:
        rows: (N, L) or (N, padded L) float32.
        labels: (L,) int64 numbers of the labels that the rows hold.
        begin: First pixel.
        end: Pixel after the last.
        maps: (K, H, W) float32, contiguous, written.
    """
    height, width = maps.shape[1:]
    p = begin
    while p < end:
        y, x, run = place(p, height, width)
        run = min(run, end - p)
        _collect(rows, p, labels, y, x, run, maps)
        p += run


@compiled
def _spread(
    maps: np.ndarray, labels: np.ndarray, y: int, x: int, run: int, rows: np.ndarray, p: int
) -> None:
    """Copy consecutive pixels of (K, H, W) maps into rows from row `p` on."""
    source, target = maps.reshape(-1), rows.reshape(-1)
    padded, count = np.uint64(rows.shape[1]), np.uint64(run)  # unsigned: no negative indices
    first = np.uint64(p) * padded
    for k in range(labels.size):
        begin = np.uint64((labels[k] * maps.shape[1] + y) * maps.shape[2] + x)
        for i in range(count):
            target[first + np.uint64(k) + i * padded] = source[begin + i]
    for k in range(labels.size, rows.shape[1]):
        for i in range(count):
            target[first + np.uint64(k) + i * padded] = 0


@compiled
def _collect(
    rows: np.ndarray, p: int, labels: np.ndarray, y: int, x: int, run: int, maps: np.ndarray
) -> None:
    """Copy rows from row `p` on to consecutive pixels of (K, H, W) maps."""
    source, target = rows.reshape(-1), maps.reshape(-1)
    padded, count = np.uint64(rows.shape[1]), np.uint64(run)
    first = np.uint64(p) * padded
    for k in range(labels.size):
        begin = np.uint64((labels[k] * maps.shape[1] + y) * maps.shape[2] + x)
        for i in range(count):
            target[begin + i] = source[first + np.uint64(k) + i * padded]
