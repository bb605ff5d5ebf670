"""The compiled form of `upsample_cross_entropy` on the CPU; numba is imported with this module.

Loss and gradient in one pass, band by band: band i is the lines of labels between the coarse rows
i and i + 1. A gradient row takes from the bands above and below it, in this order, and has one
owner, which computes the band above its first row again; so no bit depends on the threads.

Every cell's scores are taken relative to the highest there. Interpolated, that moves all classes of
a pixel alike, which loss and gradient do not see, and keeps the exponentials at 1 or below.

The softmax of a line of pixels is `upsample_cross_entropy_softmax`. The part of loss and gradient
that is linear in the scores (those of the label, and of all classes with label smoothing) needs
only the bilinear weights that each cell has in the pixels of a label.

Names: `cells` and `gradients` hold two coarse rows, (2 w, padded K); `corners` are the places
there of upper left, upper right, lower left and lower right; a run is up to eight pixels of a line
between the same two cells, at equal distances.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.ops.chunks import LANES
from atrous.ops.rows import add_to, highest, load, maximum, store, total, zeros
from atrous.ops.upsample_cross_entropy_softmax import (
    LOWEST,
    SINGLE,
    add_pixels,
    add_series,
    inlined,
)

__all__ = ["add_bands"]

STEEP = np.float32(60)
"""So far below the highest a series would vanish: e^-60 squared is still a float32."""
ONE = np.float32(1)


@compiled
def add_bands(
    scores: np.ndarray,
    labels: np.ndarray,
    gradient: np.ndarray,
    results: tuple[np.ndarray, np.ndarray, np.ndarray],
    grid: Any,
    classes: Any,
    share: tuple[int, int],
    shape: tuple[int, ...],
) -> None:
    """Write what the bands of one share of the coarse rows contribute.

    Args:
        scores: (N, h, w, K) float32 with any strides.
        labels: (N, H, W) uint8 or int64.
        gradient: (N, h, w, K) float32 with any strides, written; (0, 0, 0, 0) if not wanted.
        results: (N h,) float64 losses and weights of the labelled pixels of every band, and int64
            labels that no class has; written.
        grid: (h + 1,) first line of every band, (H,) weights of the lower row; for the R runs
            their cells, first pixels, lengths and steps, and (R, 8) weights of the right cell.
        classes: (K,) weights; (K,) factors of the label's score and of the logarithm of the sum;
            (1, padded K) what smoothing takes of every score; whether it takes anything; the label
            of void.
        share: First row of the N h, and row after the last.
        shape: A zero for each pixel of the longest run.
    """
    height, width = scores.shape[1:3]
    smooth, has_gradient = classes[3], gradient.shape[0] > 0
    chunks = smooth.shape[1] // LANES
    values = (
        np.empty((2 * width, smooth.shape[1]), np.float32),  # cells
        np.zeros((2 * width, smooth.shape[1]), np.float32),  # gradients
        np.empty((2, 2 * width), np.float32),  # depth below the highest; smoothing's share
        np.empty((chunks, LANES), np.float32),  # the first chunk of every series
        np.empty((chunks, LANES), np.float32),  # its ratios
        np.empty((1, LANES), np.float32),  # factors of the pixels of a run
    )
    gradients = values[1]
    begin, end = share
    first = begin - 1 if has_gradient and begin % height > 0 else begin
    for row in range(first, end):
        image, i = row // height, row % height
        here = i % 2 * width
        below = width - here if i + 1 < height else here
        if row == first or i == 0:
            _fill(scores[image, i], values, here, smooth)
            gradients[here : here + width] = 0
        if below != here:
            _fill(scores[image, i + 1], values, below, smooth)
            gradients[below : below + width] = 0
        loss, weight, wrong = _add_band(
            labels[image], values, grid, classes, (i, here, below, width, has_gradient), shape
        )
        if row >= begin:
            results[0][row], results[1][row], results[2][row] = loss, weight, wrong
            if has_gradient:
                _empty(gradients, here, gradient[image, i])


@compiled
def _add_band(
    labels: np.ndarray,
    values: Any,
    grid: Any,
    classes: Any,
    band: tuple[int, int, int, int, bool],
    shape: tuple[int, ...],
) -> Any:
    """Add what the pixels of a band contribute to its two gradient rows.

    Returns:
        Loss, weights of the labelled pixels, and a label that no class has, if there is one, else
        that of void.
    """
    first_line, _, left_cells = grid[:3]
    i, here, below, width, has_gradient = band
    loss, weight, wrong = 0.0, 0.0, classes[5]
    if first_line[i] < first_line[i + 1]:
        for run in range(left_cells.size):
            left = left_cells[run]
            right = min(left + 1, width - 1)
            corners = (here + left, here + right, below + left, below + right)
            part = _add_block(labels, values, grid, classes, (i, run, has_gradient), corners, shape)
            loss += part[0]
            weight += part[1]
            if part[2] != classes[5]:
                wrong = part[2]
    return loss, weight, wrong


@compiled
def _add_block(
    labels: np.ndarray,
    values: Any,
    grid: Any,
    classes: Any,
    block: tuple[int, int, bool],
    corners: tuple[int, int, int, int],
    shape: tuple[int, ...],
) -> Any:
    """Add what one run of pixels contributes over all lines of its band; returns the same."""
    cells, gradients, depths, _, _, factors = values
    first_line, lower_weights, _, first_pixels, lengths, _, right_weights = grid
    weights, hits, sums, smooth, is_smooth, void = classes
    i, run, has_gradient = block
    a, b, c, d = corners
    depth = depths[0]
    is_flat = depth[a] < STEEP and depth[b] < STEEP and depth[c] < STEEP and depth[d] < STEEP
    x, length = first_pixels[run], lengths[run]
    loss, weight, wrong = 0.0, 0.0, void
    current, count = np.int64(0), 0
    at_a = at_b = at_c = at_d = np.float32(0)  # weights of the corners in the current label
    all_a = all_b = all_c = all_d = np.float32(0)  # and in all labels before
    factors[0, :] = 0
    for y in range(first_line[i], first_line[i + 1]):
        lower = lower_weights[y]
        upper = ONE - lower
        labelled = False
        for p in range(length):
            label = np.int64(labels[y, x + p])
            if label == void or label < 0 or label >= hits.size:
                wrong = label if label != void else wrong
                factors[0, p] = 0
                continue
            if label != current:
                parts = (at_a, at_b, at_c, at_d)
                loss -= _settle(cells, gradients, corners, current, hits[current], parts)
                weight += weights[current] * count
                all_a, all_b = all_a + at_a, all_b + at_b
                all_c, all_d = all_c + at_c, all_d + at_d
                at_a = at_b = at_c = at_d = np.float32(0)
                current, count = label, 0
            factors[0, p] = sums[label]
            count += 1
            right = right_weights[run, p]
            at_a += upper * (ONE - right)
            at_b += upper * right
            at_c += lower * (ONE - right)
            at_d += lower * right
            labelled = True
        if labelled and is_flat:
            loss += add_series(values, grid, (run, lower, has_gradient), corners, shape)
        elif labelled:
            loss += add_pixels(values, grid, (run, lower, has_gradient), corners)
    if count:
        parts = (at_a, at_b, at_c, at_d)
        loss -= _settle(cells, gradients, corners, current, hits[current], parts)
        weight += weights[current] * count
        if is_smooth:
            parts = (all_a + at_a, all_b + at_b, all_c + at_c, all_d + at_d)
            loss -= _smoothen(values, smooth, corners, parts)
    return loss, weight, wrong


@inlined
def _settle(
    cells: np.ndarray,
    gradients: np.ndarray,
    corners: tuple[int, int, int, int],
    label: np.int64,
    factor: np.float32,
    parts: Any,
) -> Any:
    """Take a label's pixels off the gradients; return their factor times the label's scores."""
    score = 0.0
    for corner, part in zip(corners, parts):  # noqa: B905  # numba knows no strict
        score += factor * part * cells[corner, label]
        gradients[corner, label] -= factor * part
    return score


@compiled
def _smoothen(
    values: Any, smooth: np.ndarray, corners: tuple[int, int, int, int], parts: Any
) -> Any:
    """Take smoothing's share of a block's pixels off the gradients; return it in scores."""
    _, gradients, depths, _, _, _ = values
    chunks = smooth.shape[1] // LANES
    score = 0.0
    for corner, part in zip(corners, parts):  # noqa: B905  # numba knows no strict
        score += part * depths[1, corner]
        for k in range(chunks):
            add_to(gradients, corner * chunks + k, -part, load(smooth, k, SINGLE))
    return score


@compiled
def _fill(scores: np.ndarray, values: Any, first: int, smooth: np.ndarray) -> None:
    """Copy a coarse row (w, K) to the cells from `first`, each relative to its highest score."""
    cells, _, depths = values[:3]
    width, num_classes = scores.shape
    chunks = smooth.shape[1] // LANES
    _copy(scores, cells[first : first + width])
    for cell in range(first, first + width):
        cells[cell, num_classes:] = cells[cell, 0]
        top = load(cells, cell * chunks, SINGLE)
        bottom = np.float32(-1) * top
        nothing = np.float32(0) * top
        for k in range(1, chunks):
            row = load(cells, cell * chunks + k, SINGLE)
            top = maximum(top, row)
            bottom = maximum(bottom, np.float32(-1) * row)
            nothing = nothing + np.float32(0) * row
        best = highest(top)
        share = zeros(SINGLE)
        for k in range(chunks):
            row = load(cells, cell * chunks + k, SINGLE) + -best
            store(cells, cell * chunks + k, row)
            share = share + row * load(smooth, k, SINGLE)
        cells[cell, num_classes:] = LOWEST
        depths[0, cell] = best + highest(bottom) + total(nothing)  # NaN if any score is not finite
        depths[1, cell] = total(share)


@compiled
def _empty(gradients: np.ndarray, first: int, target: np.ndarray) -> None:
    """Copy the gradients of the cells from `first` to their coarse row (w, K)."""
    width, num_classes = target.shape
    _copy(gradients[first : first + width, :num_classes], target)


@compiled
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy (w, K) numbers in the order of the one that is not packed by classes."""
    width = min(source.shape[0], target.shape[0])
    num_classes = min(source.shape[1], target.shape[1])
    if max(source.strides[1], target.strides[1]) > source.itemsize:
        for k in range(num_classes):
            for j in range(width):
                target[j, k] = source[j, k]
    else:
        for j in range(width):
            for k in range(num_classes):
                target[j, k] = source[j, k]
