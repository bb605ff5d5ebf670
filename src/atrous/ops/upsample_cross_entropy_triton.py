"""The form of `upsample_cross_entropy` for CUDA devices; Triton is imported with this module.

Two kernels. The first takes a pixel in each lane, walks over the classes once and keeps log sum exp
of every pixel: (N, H, W), the largest thing held besides the gradient. The second takes a class and
a coarse cell in each lane and walks over the pixels around that cell, so that every gradient is
summed by one lane in one order: no atomic additions, the same bits in every run. Each pixel is
interpolated four times there, once for each of its cells, which needs no memory.
"""

import functools

import numpy as np
import torch
import triton  # type: ignore[import-untyped]  # it has no types
import triton.language as tl  # type: ignore[import-untyped]  # the same
from torch import Tensor

from atrous.ops.grids import blocks_of, positions
from atrous.ops.upsample_cross_entropy_torch import Classes, Totals, not_a_class

__all__ = ["sum_with_triton"]

PIXELS = 128
"""Pixels of a line that a program of the first kernel takes."""
CLASSES, CELLS = 8, 32
"""Classes and cells of a row that a program of the second kernel takes."""


def sum_with_triton(
    scores: Tensor, labels: Tensor, classes: Classes, align_corners: bool, has_gradient: bool
) -> Totals:
    """Sum loss, weights and gradient; arguments and errors as of `sum_in_lines`."""
    count, num_classes, height, width = scores.shape
    lines, pixels = labels.shape[1:]
    labels = labels.contiguous()
    wrong = (labels != classes.void) & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        raise not_a_class(int(labels[wrong][0]), num_classes, classes.void)
    rows, _ = _axis(height, lines, align_corners, scores.device)
    columns, longest = _axis(width, pixels, align_corners, scores.device)
    sizes = (num_classes, height, width, lines, pixels, classes.void)
    per_class = (classes.hits, classes.sums, classes.smooth)
    parts = -(-pixels // PIXELS)
    peaks = scores.new_empty(count, lines, pixels, dtype=torch.float32)
    losses = scores.new_empty(2, count, lines, parts, dtype=torch.float32)
    _sum_pixels[(parts, lines, count)](
        scores, labels, peaks, losses, *rows[:2], *columns[:2], classes.weights, *per_class,
        *scores.stride(), *sizes, losses.stride(0), BLOCK=PIXELS,
    )  # fmt: skip
    gradient = None
    if has_gradient:
        gradient = torch.empty_like(scores, dtype=torch.float32)
        blocks = -(-width // CELLS), height, count * -(-num_classes // CLASSES)
        _sum_cells[blocks](
            scores, labels, peaks, gradient, *rows, *columns, *per_class,
            *scores.stride(), *gradient.stride(), *sizes, longest,
            BLOCK_K=CLASSES, BLOCK_J=CELLS,
        )  # fmt: skip
    loss, weight = losses.sum((1, 2, 3))
    return Totals(loss, weight, gradient)


@functools.lru_cache(maxsize=64)
def _axis(
    cells: int, pixels: int, align_corners: bool, device: torch.device
) -> tuple[tuple[Tensor, ...], int]:
    """Return where pixels and cells lie, and the most pixels around a cell.

    Each pixel's cell before it, the weight of the one after it, and each cell's first pixel.
    """
    before, weight = positions(cells, pixels, align_corners, np.float64)
    first, _ = blocks_of(cells, pixels, align_corners, np.float64)
    longest = max(np.diff(first).max(), (first[2:] - first[:-2]).max(initial=0))
    parts = before.astype(np.int32), weight.astype(np.float32), first.astype(np.int32)
    return tuple(torch.from_numpy(part).to(device) for part in parts), int(longest)


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _sum_pixels(  # type: ignore[no-untyped-def]  # noqa: PLR0913  # pointers and strides, each
    scores, labels, peaks, losses, before_y, weight_y, before_x, weight_x,
    weights, hits, sums, smooth, stride_n, stride_k, stride_y, stride_x,
    num_classes, height, width, lines, pixels, void, stride_part, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write log sum exp of the pixels of a line, and their summed loss and weights."""
    part, y, n = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    x = part * BLOCK + tl.arange(0, BLOCK)
    inside = x < pixels
    upper = tl.load(before_y + y)
    lower = tl.minimum(upper + 1, height - 1)
    down = tl.load(weight_y + y)
    left = tl.load(before_x + x, mask=inside, other=0)
    right = tl.minimum(left + 1, width - 1)
    across = tl.load(weight_x + x, mask=inside, other=0.0)
    pixel = (n * lines + y).to(tl.int64) * pixels + x
    label = tl.load(labels + pixel, mask=inside, other=0).to(tl.int64)
    live = inside & (label != void)
    image = scores + n.to(tl.int64) * stride_n
    best = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    linear = tl.zeros([BLOCK], tl.float32)
    hit = tl.load(hits + label, mask=live, other=0.0)
    for k in range(num_classes):
        plane = image + k * stride_k
        a = tl.load(plane + upper * stride_y + left * stride_x).to(tl.float32)
        b = tl.load(plane + upper * stride_y + right * stride_x).to(tl.float32)
        c = tl.load(plane + lower * stride_y + left * stride_x).to(tl.float32)
        d = tl.load(plane + lower * stride_y + right * stride_x).to(tl.float32)
        above = a + across * (b - a)
        score = above + down * (c + across * (d - c) - above)
        higher = tl.maximum(best, score)
        total = total * tl.exp(best - higher) + tl.exp(score - higher)
        best = higher
        linear += score * (tl.load(smooth + k) + tl.where(label == k, hit, 0.0))
    peak = best + tl.log(total)
    tl.store(peaks + pixel, peak, mask=inside)
    loss = tl.where(live, tl.load(sums + label, mask=live, other=0.0) * peak - linear, 0.0)
    weight = tl.load(weights + label, mask=live, other=0.0)
    place = (n * lines + y) * tl.num_programs(0) + part
    tl.store(losses + place, tl.sum(loss, 0))
    tl.store(losses + stride_part + place, tl.sum(weight, 0))


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _sum_cells(  # type: ignore[no-untyped-def]  # noqa: PLR0913  # the same
    scores, labels, peaks, gradient, before_y, weight_y, first_y, before_x, weight_x, first_x,
    hits, sums, smooth, stride_n, stride_k, stride_y, stride_x,
    to_n, to_k, to_y, to_x, num_classes, height, width, lines, pixels, void, longest,
    BLOCK_K: tl.constexpr, BLOCK_J: tl.constexpr,
):  # fmt: skip
    """Write the gradient of some classes at some cells of a row."""
    i = tl.program_id(1)
    groups = (num_classes + BLOCK_K - 1) // BLOCK_K
    n = tl.program_id(2) // groups
    k = (tl.program_id(2) % groups * BLOCK_K + tl.arange(0, BLOCK_K))[:, None]
    j = (tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J))[None, :]
    known, inside = k < num_classes, j < width
    image = scores + n.to(tl.int64) * stride_n + k * stride_k
    share = tl.load(smooth + k, mask=known, other=0.0)
    before, after = tl.maximum(j - 1, 0), tl.minimum(j + 1, width - 1)
    begin = tl.load(first_x + before, mask=inside, other=0)
    middle = tl.load(first_x + j, mask=inside, other=0)
    end = tl.load(first_x + j + 1, mask=inside, other=0)
    sum_of_lines = tl.zeros([BLOCK_K, BLOCK_J], tl.float32)
    for y in range(tl.load(first_y + tl.maximum(i - 1, 0)), tl.load(first_y + i + 1)):
        upper = tl.load(before_y + y)
        lower = tl.minimum(upper + 1, height - 1)
        down = tl.load(weight_y + y)
        weight_of_row = tl.where(upper == i, 1 - down, 0.0) + tl.where(lower == i, down, 0.0)
        above, below = image + upper * stride_y, image + lower * stride_y
        there = known & inside
        a = tl.load(above + before * stride_x, mask=there, other=0.0).to(tl.float32)
        b = tl.load(above + j * stride_x, mask=there, other=0.0).to(tl.float32)
        c = tl.load(above + after * stride_x, mask=there, other=0.0).to(tl.float32)
        a += down * (tl.load(below + before * stride_x, mask=there, other=0.0).to(tl.float32) - a)
        b += down * (tl.load(below + j * stride_x, mask=there, other=0.0).to(tl.float32) - b)
        c += down * (tl.load(below + after * stride_x, mask=there, other=0.0).to(tl.float32) - c)
        sum_of_line = tl.zeros([BLOCK_K, BLOCK_J], tl.float32)
        for step in range(longest):
            x = begin + step
            near = inside & (x < end)
            across = tl.load(weight_x + x, mask=near, other=0.0)
            is_left = x < middle
            score = tl.where(is_left, a + across * (b - a), b + across * (c - b))
            weight = tl.where(is_left, across, 1 - across)
            weight = tl.where((after == j) & (x >= middle), 1.0, weight)  # no cell further right
            pixel = (n * lines + y).to(tl.int64) * pixels + x
            label = tl.load(labels + pixel, mask=near, other=0).to(tl.int64)
            live = near & (label != void)
            peak = tl.load(peaks + pixel, mask=near, other=0.0)
            slope = tl.exp(score - peak) * tl.load(sums + label, mask=live, other=0.0) - share
            slope -= tl.where(label == k, tl.load(hits + label, mask=live, other=0.0), 0.0)
            sum_of_line += tl.where(live, weight * slope, 0.0)
        sum_of_lines += weight_of_row * sum_of_line
    place = gradient + n.to(tl.int64) * to_n + k * to_k + i * to_y + j * to_x
    tl.store(place, sum_of_lines, mask=known & inside)
