"""Overlapping windows over a large image, blended without seams, finished block by block.

Neighbouring windows share a band in which the weight of one falls linearly from 1 to 0 while that
of the other rises. So nothing shows where a window ends, and outside the bands the result is, to
the bit, that of the one window there.

Memory, beside what the network takes for a window: some maps (K, h, w) of the window at hand and
the band (K, 128, W) that it leaves to the row below. The image itself is never held in float.

What lies outside a window cannot be seen from within. Nearer to a window's border than the
receptive field the network sees its own padding, and a branch that pools the whole image (the
image-level features of DeepLab v3, the pyramid of PSPNet) pools the window: its global context is
that of at most `TILE` pixels a side. Labels in windows are therefore close to those of the whole
image, not equal to them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.inference.config import SMALLEST_TILE

__all__ = ["Block", "Tiling", "ramp", "shared_band", "starts", "tiled"]

WHOLE_PIXELS = 2**22
"""Images of at most so many pixels (2048 x 2048) are taken whole unless a tile is given.

Constant, not what the free memory allows: the same model must give the same labels everywhere.
Cityscapes and full-HD images stay whole, as in the papers' protocols.
"""

TILE = 1024
"""Side of the windows of what is larger."""

BAND = 128
"""Pixels that neighbouring windows share; a quarter of the window where that is less."""

GRID = 32
"""Windows start on multiples of the coarsest stride, so the score grid lies as in the whole."""

Block = tuple[int, int, Tensor]
"""(top, left, probabilities (K, h, w)): pixels that no later window touches."""


@dataclass(frozen=True)
class Tiling:
    """Which images are cut, and into windows of which size; a function of the image alone.

    Attributes:
        window: Largest (height, width) of a window; None never cuts.
        whole_pixels: Images of at most so many pixels stay whole though they exceed a window.
    """

    window: tuple[int, int] | None
    whole_pixels: int = 0

    @classmethod
    def of(cls, tile: int | tuple[int, int] | None, largest_scale: float = 1.0) -> "Tiling":
        """Return the rule that a caller's `tile` stands for.

        Args:
            tile: Side or (height, width) of the windows; 0 never cuts; None cuts what has more
                than `WHOLE_PIXELS` at its largest scale into windows of `TILE`.
            largest_scale: Largest factor by which images will be enlarged.

        Raises:
            InputError: A window of fewer than 64 pixels a side.
        """
        if tile is None:
            zoom = max(1.0, largest_scale)
            side = max(SMALLEST_TILE, int(TILE / zoom) // GRID * GRID)
            return cls((side, side), int(WHOLE_PIXELS / zoom**2))
        if tile == 0:
            return cls(None)
        height, width = (tile, tile) if isinstance(tile, int) else tile
        if min(height, width) < SMALLEST_TILE:
            raise InputError(
                f"tile is {tile}, but a window needs at least {SMALLEST_TILE} pixels a side; "
                "0 takes every image whole"
            )
        return cls((height, width))

    def keeps_whole(self, height: int, width: int) -> bool:
        """Return whether an image goes through the network in one piece."""
        if self.window is None or height * width <= self.whole_pixels:
            return True
        return height <= self.window[0] and width <= self.window[1]

    def advice(self, height: int, width: int) -> str:
        """Return what to do when an image of this size does not fit into memory."""
        seen = (height, width)
        if self.window is not None and not self.keeps_whole(height, width):
            seen = self.window
        smaller = min(TILE, max(seen) // 2) // GRID * GRID
        how = "as a whole" if seen == (height, width) else f"in windows of {max(seen)}"
        told = f"an image of {width}x{height} does not fit into memory {how}; "
        if smaller < SMALLEST_TILE:
            return told + "close other programs, or use a smaller network"
        return told + f"cut it into smaller windows with --tile {smaller}"


def tiled(
    image: np.ndarray, tile: tuple[int, int], predict: Callable[[np.ndarray], Tensor]
) -> Iterator[Block]:
    """Yield blended probabilities of `image` block by block; together they cover it once.

    Args:
        image: (H, W, C).
        tile: Largest (height, width) of a window.
        predict: Maps a window (h, w, C) to probabilities (K, h, w) of its own, which are changed.
    """
    height, width = image.shape[:2]
    band_y, band_x = (shared_band(side) for side in tile)
    below: Tensor | None = None  # (K, band_y, W): what each row leaves to the next one
    for top, next_top in pairwise([*starts(height, tile[0]), height]):
        bottom = min(next_top + band_y, height)
        beside: Tensor | None = None  # what each window leaves to the one on its right
        for left, next_left in pairwise([*starts(width, tile[1]), width]):
            right = min(next_left + band_x, width)
            part = predict(image[top:bottom, left:right])
            weights = ramp(top, bottom, height, band_y)[:, None] * ramp(left, right, width, band_x)
            part *= weights.to(part.device)
            if below is None:
                below = part.new_zeros(len(part), band_y, width)
            if top:
                fresh = left + band_x if left else 0  # the window on the left has added the rest
                part[:, :band_y, fresh - left :] += below[:, :, fresh:right]
            if beside is not None:
                part[:, :, :band_x] += beside
            rows, columns = next_top - top, next_left - left
            yield top, left, part[:, :rows, :columns]
            below[:, : bottom - next_top, left:next_left] = part[:, rows:, :columns]
            beside = part[:, :, columns:].clone()
            del part  # before the network needs room for the next window


def starts(length: int, tile: int) -> list[int]:
    """Return where windows begin so that the fewest, all but equally long, cover `length`.

    Each reaches a band beyond the start of the next; the last one ends at `length`.

    Example:
        >>> starts(2000, 1024)
        [0, 640, 1280]
    """
    if length <= tile:
        return [0]
    band = shared_band(tile)
    longest = tile // GRID * GRID - band
    count = -(-(length - band) // longest)
    step = -(-(length - band) // (count * GRID)) * GRID
    return list(range(0, count * step, step))


def shared_band(tile: int) -> int:
    """Return how many pixels neighbouring windows share: a quarter of the tile, 32 to 128."""
    return max(GRID, min(BAND, tile // 4 // GRID * GRID))


def ramp(start: int, end: int, length: int, band: int) -> Tensor:
    """Return the weights (end - start,) of a window: 1, falling to 0 where a neighbour takes over.

    Example:
        >>> ramp(4, 10, 20, 2).tolist()
        [0.25, 0.75, 1.0, 1.0, 0.75, 0.25]
    """
    weights = torch.ones(end - start)
    rise = (torch.arange(band) + 0.5) / band
    if start > 0:
        weights[:band] = rise
    if end < length:
        weights[-band:] = rise.flip(0)
    return weights
