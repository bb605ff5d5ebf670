"""Maps of K labels to rows of K numbers and back, in compiled code.

Pixels are counted strip by strip, row by row within a strip of the image, so that neighbours in
both directions lie close in memory and use the same vertices of the lattice.

A run of pixels, at most a strip wide, passes through a block (padded K, COLUMNS): there its labels
are summed and scaled for all pixels at once, and from there squares of it are turned into rows.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.ops.row_shapes import shape_of
from atrous.ops.rows import load, maximum, prefetch, store, zeros
from atrous.ops.squares import lanes_of, transpose

__all__ = ["COLUMNS", "pack", "place", "unpack"]

COLUMNS = 32
"""Width of a strip."""
RUN = shape_of(COLUMNS)
"""As many pixels of a map, as a row."""
LINE = 16
"""Pixels in a cache line."""
AT_ONCE = shape_of(LINE)
"""As many pixels, as a row."""
AHEAD = 2
"""Rows of the image from now whose pixels are fetched; every map is a stream of its own."""


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
    least: np.float32,
    begin: int,
    end: int,
    rows: np.ndarray,
    bounds: tuple[float, float],
    chunk: tuple[int, ...],
) -> Any:
    """Bring probabilities into rows, raised to a least value and normalised.

    Args:
        maps: (K, H, W) float32, contiguous.
        labels: (L,) int64 numbers of the labels to take.
        least: Least value.
        begin: First pixel.
        end: Pixel after the last.
        rows: (N, padded L) float32, written from `begin` to `end`; 0 in the padding.
        bounds: Least and greatest sum of a pixel's values.
        chunk: Shape of one chunk of a row, see `row_shapes`.

    Returns:
        The number of pixels with a negative value or a sum out of bounds; NaN is out of bounds.
    """
    height, width = maps.shape[1:]
    block = np.zeros((rows.shape[1], COLUMNS), np.float32)
    seen = np.empty((2, COLUMNS), np.float32)
    wrong = 0
    p = begin
    while p < end:
        y, x, run = place(p, height, width)
        run = min(run, end - p)
        _take(maps, labels, y, x, run, block)
        _normalise(block, labels.size, least, seen)
        for i in range(run):
            wrong += seen[0, i] > 0 or not bounds[0] <= seen[1, i] <= bounds[1]
        whole = run - run % lanes_of(chunk)
        for i in range(0, whole, lanes_of(chunk)):
            for k in range(0, rows.shape[1], lanes_of(chunk)):
                transpose(block, (k, i), rows, (p + i, k), chunk)
        for i in range(whole, run):
            for k in range(rows.shape[1]):
                rows[p + i, k] = block[k, i]
        p += run
    return wrong


@compiled
def unpack(
    rows: np.ndarray,
    labels: np.ndarray,
    begin: int,
    end: int,
    maps: np.ndarray,
    chunk: tuple[int, ...],
) -> None:
    """Write rows back as maps.

    Args:
        rows: (N, L) or (N, padded L) float32.
        labels: (L,) int64 numbers of the labels that the rows hold.
        begin: First pixel.
        end: Pixel after the last.
        maps: (K, H, W) float32, contiguous, written.
        chunk: Shape of one chunk of a row, see `row_shapes`.
    """
    height, width = maps.shape[1:]
    padded = labels.size + -labels.size % lanes_of(chunk)
    block = np.empty((padded, COLUMNS), np.float32)
    safe = rows.shape[0] - (rows.shape[1] < padded)  # a square reads on into the next row
    p = begin
    while p < end:
        y, x, run = place(p, height, width)
        run = min(run, end - p)
        whole = min(run, safe - p)
        whole -= whole % lanes_of(chunk)
        for i in range(0, whole, lanes_of(chunk)):
            for k in range(0, padded, lanes_of(chunk)):
                transpose(rows, (p + i, k), block, (k, i), chunk)
        for i in range(whole, run):
            for k in range(labels.size):
                block[k, i] = rows[p + i, k]
        _give(block, labels, y, x, run, maps)
        p += run


@compiled
def _take(
    maps: np.ndarray, labels: np.ndarray, y: int, x: int, run: int, block: np.ndarray
) -> None:
    """Copy consecutive pixels of (K, H, W) maps into a block."""
    source, target = maps.reshape(-1), block.reshape(-1)
    count = np.uint64(run)  # unsigned: no negative indices
    for k in range(labels.size):
        begin = np.uint64((labels[k] * maps.shape[1] + y) * maps.shape[2] + x)
        soon = (begin + np.uint64(AHEAD * maps.shape[2])) // np.uint64(LINE)
        for line in range(COLUMNS // LINE + 1):
            prefetch(source, soon + np.uint64(line), AT_ONCE)
        first = np.uint64(k * COLUMNS)
        for i in range(count):
            target[first + i] = source[begin + i]


@compiled
def _normalise(block: np.ndarray, num_labels: int, least: np.float32, seen: np.ndarray) -> None:
    """Raise and normalise the pixels of a block.

    Args:
        block: (at least K, COLUMNS), of which K labels are overwritten.
        num_labels: K.
        least: Least value.
        seen: (2, COLUMNS), written: how far a value lies below 0, and the sum before.
    """
    below, whole, raised = zeros(RUN), zeros(RUN), zeros(RUN)
    floor = zeros(RUN) + least
    for k in range(num_labels):
        pixels = load(block, k, RUN)
        below = maximum(below, np.float32(-1) * pixels)
        whole = whole + pixels
        raised = raised + maximum(pixels, floor)
    factor = (zeros(RUN) + np.float32(1)) / raised
    for k in range(num_labels):
        store(block, k, factor * maximum(load(block, k, RUN), floor))
    store(seen, 0, below)
    store(seen, 1, whole)


@compiled
def _give(
    block: np.ndarray, labels: np.ndarray, y: int, x: int, run: int, maps: np.ndarray
) -> None:
    """Copy a block to consecutive pixels of (K, H, W) maps."""
    source, target = block.reshape(-1), maps.reshape(-1)
    count = np.uint64(run)
    for k in range(labels.size):
        begin = np.uint64((labels[k] * maps.shape[1] + y) * maps.shape[2] + x)
        first = np.uint64(k * COLUMNS)
        for i in range(count):
            target[begin + i] = source[first + i]
