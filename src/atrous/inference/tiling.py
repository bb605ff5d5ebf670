"""Overlapping windows over a large image, blended without seams, in strips of finished rows.

The network sees one window at a time and the accumulator holds one row of windows, so memory does
not grow with the height of the image.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = ["Strip", "starts", "tiled", "window_weights"]

Strip = tuple[int, Tensor]
"""(top row, probabilities (K, rows, W)): rows that no later window touches."""

GRID = 32
"""Windows start on multiples of the coarsest stride, so the score grid lies as in the whole."""


def tiled(
    image: np.ndarray, tile: tuple[int, int], predict: Callable[[np.ndarray], Tensor]
) -> Iterator[Strip]:
    """Yield blended probabilities of `image` strip by strip, top to bottom.

    Args:
        image: (H, W, C).
        tile: (height, width) of a window; windows overlap by about a quarter.
        predict: Maps a window (h, w, C) to probabilities (K, h, w).
    """
    height, width = image.shape[:2]
    rows, columns = starts(height, tile[0]), starts(width, tile[1])
    carried: Tensor | None = None  # weighted sum and weight of rows that the next row shares
    for index, top in enumerate(rows):
        bottom = min(top + tile[0], height)
        sums = _row_of_windows(image[top:bottom], columns, tile[1], predict)
        if carried is not None:
            sums[:, : carried.shape[1]] += carried
        final = (rows[index + 1] if index + 1 < len(rows) else height) - top
        yield top, sums[:-1, :final] / sums[-1:, :final]
        carried = sums[:, final:].clone()


def starts(length: int, tile: int) -> list[int]:
    """Return where windows of `tile` pixels begin so that they cover `length` and overlap.

    Example:
        >>> starts(1000, 512)
        [0, 384, 512]
    """
    step = max(GRID, tile * 3 // 4 // GRID * GRID)
    last = -(-max(0, length - tile) // GRID) * GRID  # rounded up: the last window is the shorter
    return [*range(0, last, step), last]


def window_weights(length: int) -> Tensor:
    """Return weights (length,) that fall linearly from the middle of a window to its borders."""
    position = torch.arange(length, dtype=torch.float32)
    return torch.minimum(position + 1, length - position) / ((length + 1) // 2)


def _row_of_windows(
    band: np.ndarray, columns: list[int], tile: int, predict: Callable[[np.ndarray], Tensor]
) -> Tensor:
    """Return (K + 1, h, W): the weighted probabilities of a row of windows, then the weights."""
    height, width = band.shape[:2]
    sums: Tensor | None = None
    for left in columns:
        probabilities = predict(band[:, left : left + tile])
        weights = window_weights(height)[:, None] * window_weights(probabilities.shape[2])
        weights = weights.to(probabilities.device)
        if sums is None:
            sums = probabilities.new_zeros(len(probabilities) + 1, height, width)
        part = sums[:, :, left : left + probabilities.shape[2]]
        part[:-1] += probabilities * weights
        part[-1] += weights
    assert sums is not None
    return sums
