"""The softmax of a line of pixels between four cells, in compiled code.

A class's score is linear between two cells, so its exponentials over the pixels of a line are a
geometric series (`series`): two exponentials serve up to eight pixels. They would vanish where some
class is far below the highest of its cell; there each pixel is computed by itself.

Names are those of `upsample_cross_entropy_kernel`.
"""

from typing import Any

import numba
import numpy as np

from atrous.compiling import compiled
from atrous.ops.rows import add_to, exponential, highest, load, maximum, store, total, zeros
from atrous.ops.series import logarithm, of_lanes, polynomial, powers, totals, where_positive

__all__ = ["LOWEST", "SINGLE", "add_pixels", "add_series", "inlined"]

LOWEST = np.float32(-3e38)
"""Score of the classes that pad a row: their exponential is nearly zero."""
SINGLE = (0,)
"""Shape of one chunk."""
ONE = np.float32(1)

inlined = numba.njit(nogil=True, error_model="numpy", inline="always")
"""For what is called once a line and run: passing the arrays would cost a fifth of the time."""


@inlined
def add_series(
    values: Any,
    grid: Any,
    line: tuple[int, np.float32, bool],
    corners: tuple[int, int, int, int],
    shape: tuple[int, ...],
) -> Any:
    """Add the softmax of a run of pixels to the gradients; return factors times log sum exp."""
    cells, gradients, _, starts, ratios, factors = values
    _, _, _, _, _, steps, right_weights = grid
    run, lower, has_gradient = line
    chunks = starts.shape[0]
    a, b, c, d = corners
    first, step = right_weights[run, 0], steps[run]
    sums = zeros(shape)
    for k in range(chunks):
        left, right = load(cells, a * chunks + k, SINGLE), load(cells, b * chunks + k, SINGLE)
        left = left + lower * (load(cells, c * chunks + k, SINGLE) - left)
        right = right + lower * (load(cells, d * chunks + k, SINGLE) - right)
        slope = right - left
        start = exponential(left + first * slope)
        ratio = exponential(step * slope)
        store(starts, k, start)
        store(ratios, k, ratio)
        sums = sums + powers(start, ratio, shape)
    factor = load(factors, 0, SINGLE)
    whole = where_positive(factor, totals(sums), zeros(SINGLE) + ONE)
    if has_gradient:
        part = factor / whole
        to_right = part * load(right_weights, run, SINGLE)
        rightwards = of_lanes(to_right, shape)
        leftwards = of_lanes(part - to_right, shape)
        for k in range(chunks):
            start, ratio = load(starts, k, SINGLE), load(ratios, k, SINGLE)
            left = start * polynomial(leftwards, ratio)
            right = start * polynomial(rightwards, ratio)
            add_to(gradients, a * chunks + k, ONE - lower, left)
            add_to(gradients, b * chunks + k, ONE - lower, right)
            add_to(gradients, c * chunks + k, lower, left)
            add_to(gradients, d * chunks + k, lower, right)
    return total(logarithm(whole) * factor)


@compiled
def add_pixels(
    values: Any,
    grid: Any,
    line: tuple[int, np.float32, bool],
    corners: tuple[int, int, int, int],
) -> Any:
    """Do what `add_series` does, pixel by pixel; NaN where a score is infinite or NaN."""
    cells, gradients, depths, exponentials, _, factors = values
    lengths, right_weights = grid[4], grid[6]
    run, lower, has_gradient = line
    chunks = exponentials.shape[0]
    a, b, c, d = corners
    depth = depths[0][a] + depths[0][b] + depths[0][c] + depths[0][d]
    if not depth < np.inf:
        for corner in corners:
            gradients[corner] = np.nan
        return np.float32(np.nan)
    loss = np.float32(0)
    for p in range(lengths[run]):
        if factors[0, p] == 0:
            continue
        right = right_weights[run, p]
        parts = (
            (ONE - lower) * (ONE - right),
            (ONE - lower) * right,
            lower * (ONE - right),
            lower * right,
        )
        best = zeros(SINGLE) + LOWEST
        for k in range(chunks):
            row = parts[0] * load(cells, a * chunks + k, SINGLE)
            row = row + parts[1] * load(cells, b * chunks + k, SINGLE)
            row = row + parts[2] * load(cells, c * chunks + k, SINGLE)
            row = row + parts[3] * load(cells, d * chunks + k, SINGLE)
            store(exponentials, k, row)
            best = maximum(best, row)
        top = highest(best)
        sums = zeros(SINGLE)
        for k in range(chunks):
            row = exponential(load(exponentials, k, SINGLE) + -top)
            store(exponentials, k, row)
            sums = sums + row
        whole = total(sums)
        loss += factors[0, p] * (np.log(whole) + top)
        if has_gradient:
            part = factors[0, p] / whole
            for k in range(chunks):
                row = load(exponentials, k, SINGLE)
                for corner, weight in zip(corners, parts):  # noqa: B905  # numba knows no strict
                    add_to(gradients, corner * chunks + k, part * weight, row)
    return loss
