"""The form of `upsample_cross_entropy` for the CPU: how the kernel's work is laid out."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atrous.ops.chunks import LANES
from atrous.ops.grids import blocks_of, positions
from atrous.ops.shares import in_shares
from atrous.ops.upsample_cross_entropy_kernel import add_bands
from atrous.ops.upsample_cross_entropy_torch import Classes, Totals, not_a_class

__all__ = ["Runs", "runs_of", "sum_in_bands"]

SAME = 1e-9
"""Distances between pixels, in cells, that differ by less are rounded differently."""


def sum_in_bands(
    scores: Tensor, labels: Tensor, classes: Classes, align_corners: bool, has_gradient: bool
) -> Totals:
    """Sum loss, weights and gradient; arguments and errors as of `sum_in_lines`.

    The bands are shared among torch's number of threads.
    """
    scores = scores.float()
    count, num_classes, height, width = scores.shape
    gradient = torch.empty_like(scores if has_gradient else scores[:0, :0, :0, :0])
    smooth = np.zeros((1, -(-num_classes // LANES) * LANES), np.float32)
    smooth[0, :num_classes] = classes.smooth.numpy()
    bands = count * height
    results = np.zeros(bands), np.zeros(bands), np.zeros(bands, np.int64)
    longest = 4 if labels.shape[2] <= 4 * width else LANES
    given = (
        scores.permute(0, 2, 3, 1).numpy(),
        labels.contiguous().numpy(),
        gradient.permute(0, 2, 3, 1).numpy(),
        results,
        _grid(height, width, *labels.shape[1:], align_corners, longest),
        (*(part.numpy() for part in classes[:3]), smooth, *classes[4:]),
    )

    def add(begin: int, end: int) -> None:
        add_bands(*given, (begin, end), (0,) * longest)

    in_shares(add, bands)
    losses, weights, wrong = results
    if (wrong != classes.void).any():
        raise not_a_class(int(wrong[wrong != classes.void][0]), num_classes, classes.void)
    loss, weight = (torch.tensor(part.sum(), dtype=torch.float32) for part in (losses, weights))
    return Totals(loss, weight, gradient if has_gradient else None)


class Runs(NamedTuple):
    """Neighbouring pixels of a line between the same two cells, at equal distances.

    Attributes:
        cells: (R,) int64 left cell of each run.
        first: (R,) int64 first pixel.
        lengths: (R,) int64 pixels, at most the longest.
        steps: (R,) float32 distance between its pixels, in cells.
        weights: (R, 8) float32 weight of the right cell at each pixel, zeros after the last.
    """

    cells: np.ndarray
    first: np.ndarray
    lengths: np.ndarray
    steps: np.ndarray
    weights: np.ndarray


def runs_of(cells: int, pixels: int, align_corners: bool, longest: int = LANES) -> Runs:
    """Cut a line of pixels into runs; before the first cell all lie at distance 0."""
    before, weight = positions(cells, pixels, align_corners, np.float64)
    first, lengths, steps = [0], [1], [0.0]
    for pixel in range(1, pixels):
        step = weight[pixel] - weight[pixel - 1]
        is_even = lengths[-1] == 1 or abs(step - steps[-1]) < SAME
        if before[pixel] == before[pixel - 1] and is_even and lengths[-1] < longest:
            lengths[-1] += 1
            steps[-1] = step
        else:
            first.append(pixel)
            lengths.append(1)
            steps.append(0.0)
    weights = np.zeros((len(first), LANES), np.float32)
    for row, begin, length in zip(weights, first, lengths, strict=True):
        row[:length] = weight[begin : begin + length]
    left, begins, counts = (np.array(part, np.int64) for part in (before[first], first, lengths))
    return Runs(left, begins, counts, np.array(steps, np.float32), weights)


@functools.lru_cache(maxsize=64)
def _grid(
    height: int, width: int, lines: int, pixels: int, align_corners: bool, longest: int
) -> tuple[np.ndarray, ...]:
    """Return the bands of the rows and the runs of the columns, as the kernel takes them."""
    first, weights = blocks_of(height, lines, align_corners, np.float64)
    return first, weights.astype(np.float32), *runs_of(width, pixels, align_corners, longest)
