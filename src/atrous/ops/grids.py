"""Where the cells of feature maps lie over an image, and what aligns one grid with the next."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["IMAGE", "Grid", "Upsampling", "blocks_of", "positions", "upsamplings"]


class Grid(NamedTuple):
    """Cells over an image: cell y is centred on pixel `first` + y * `stride`."""

    first: float
    stride: int


IMAGE = Grid(0.0, 1)


class Upsampling(NamedTuple):
    """A bilinear deconvolution and the crop after it.

    Attributes:
        factor: Its stride.
        kernel: Side of its kernel: 2 * factor, or one less.
        offset: Cells by which the finer map begins before the upsampled scores; below zero where
            it begins after them.
    """

    factor: int
    kernel: int
    offset: int


def upsamplings(grids: Sequence[Grid], *, repeated: int = 0) -> list[Upsampling]:
    """Return how scores come from each grid to the next finer one.

    An upsampling by s with kernel k moves the first cell (k - 1) / 2 fine cells back. Of the two
    kernels that interpolate bilinearly the one is taken that ends on cells of the finer grid: 64
    pixels on VGG, whose coarse cells are centred between pixels, 63 on AlexNet.

    Args:
        grids: From coarse to fine; the last is the image, `Grid(0, 1)`.
        repeated: Border cells that are added around the scores before each upsampling.

    Example:
        >>> vgg16 = [Grid(12.5, 32), Grid(-91.5, 16), Grid(-95.5, 8), Grid(0, 1)]
        >>> [step.offset for step in upsamplings(vgg16)]
        [5, 9, -31]
        >>> upsamplings([Grid(13, 32), Grid(0, 1)])
        [Upsampling(factor=32, kernel=63, offset=-18)]
    """
    steps, scores = [], grids[0]
    for finer in grids[1:]:
        factor = scores.stride // finer.stride
        corner = scores.first - repeated * scores.stride
        fits = [
            (kernel, first)
            for kernel in (2 * factor, 2 * factor - 1)
            if (first := corner - finer.stride * (kernel - 1) / 2 - finer.first) % finer.stride == 0
        ]
        assert fits, f"no bilinear kernel leads from {scores} to {finer}"
        kernel, first = fits[0]
        steps.append(Upsampling(factor, kernel, int(first) // finer.stride))
        scores = Grid(finer.first + max(first, 0), finer.stride)
    return steps


def blocks_of(
    cells: int,
    pixels: int,
    align_corners: bool,
    dtype: type[np.float32 | np.float64] = np.float32,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of every cell's block (cells + 1,) and the weights (pixels,).

    A block is the pixels between a cell and the next; it may be empty where a map shrinks.
    """
    before, weight = positions(cells, pixels, align_corners, dtype)
    return np.searchsorted(before, np.arange(cells + 1)).astype(np.int64), weight


def positions(
    cells: int,
    pixels: int,
    align_corners: bool,
    dtype: type[np.float32 | np.float64] = np.float32,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell at or before each pixel, and the weight in [0, 1] of the cell after it.

    In the order of torch's own formula and, unless another `dtype` is asked for, in float32 as
    torch, so that labels agree in near-ties too.

    Example:
        >>> before, weight = positions(2, 4, align_corners=False)
        >>> before.tolist(), weight.tolist()
        ([0, 0, 0, 1], [0.0, 0.25, 0.75, 0.25])
    """
    pixel: np.ndarray = np.arange(pixels).astype(dtype)
    cell_count: np.ndarray = np.array(cells).astype(dtype)  # numbers would be taken for float64
    pixel_count: np.ndarray = np.array(pixels).astype(dtype)
    if align_corners:
        position = pixel * ((cell_count - 1) / np.maximum(pixel_count - 1, 1))
    else:
        position = np.maximum(cell_count / pixel_count * (pixel + 0.5) - 0.5, 0)
    before = np.minimum(position.astype(np.int64), cells - 1)
    return before, np.clip(position - before.astype(dtype), 0, 1).astype(dtype)
