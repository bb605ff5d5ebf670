"""Where the cells of feature maps lie over an image, and what aligns one grid with the next."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["IMAGE", "Grid", "Upsampling", "upsamplings"]


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
