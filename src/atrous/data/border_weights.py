"""The weight map that teaches U-Net to keep touching cells apart (Ronneberger et al., Sec. 3).

    w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2)),  w_0 = 10, sigma = 5 pixels

where d_1 and d_2 are the distances to the nearest and the second nearest cell.

What the paper leaves open: distances are those to the nearest pixel of a cell, centre to centre, so
a pixel that touches both cells has d_1 + d_2 = 2; the second term is for background alone; cells
are the connected pieces of one class, pieces that meet at a corner only being two; w_c is the
inverse frequency of the class, scaled so that the mean weight is 1.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["border_weights", "instances_of", "inverse_frequency", "separation"]

REACH = 6.0
"""In sigmas: a pixel so far from its second nearest cell has a term below w_0 * 2e-8."""


def border_weights(
    labels: NDArray[np.uint8],
    *,
    background: int = 0,
    class_weights: Sequence[float] | None = None,
    w0: float = 10.0,
    sigma: float = 5.0,
    ignore_index: int = VOID,
) -> NDArray[np.float32]:
    """Return the weight of every pixel in the loss.

    Args:
        labels: (H, W) class indices; what is neither background nor void is cells.
        background: Class between the cells.
        class_weights: w_c of each class; None is `inverse_frequency` of these labels. Over a data
            set take that of `spec.statistics["train"].pixels`.
        w0: Height of the term between two cells that touch.
        sigma: Its width in pixels.
        ignore_index: Void, whose weight is 0 and which is nobody's cell.

    Returns:
        (H, W) float32.

    Raises:
        InputError: `labels` are no (H, W) uint8, or hold a class that has no weight.
    """
    if labels.dtype != np.uint8 or labels.ndim != 2:
        raise InputError(
            f"the labels are {labels.dtype} of shape {labels.shape}; give (height, width) of uint8"
        )
    known = labels != ignore_index
    counts = np.bincount(labels[known], minlength=1)
    table = np.zeros(256)
    weights = inverse_frequency(counts.tolist()) if class_weights is None else class_weights
    if len(weights) < len(counts):
        raise InputError(
            f"class_weights are {len(weights)}, but label {len(counts) - 1} occurs; "
            "give one weight per class"
        )
    table[: len(weights)] = weights
    between = separation(
        instances_of(labels, background=background, ignore_index=ignore_index), w0=w0, sigma=sigma
    )
    between[labels != background] = 0
    return np.where(known, table[labels] + between, 0.0).astype(np.float32)


def inverse_frequency(pixels: Sequence[int]) -> list[float]:
    """Return a weight for each class, such that the mean over all pixels is 1.

    Args:
        pixels: Pixels of each class. One that does not occur gets weight 0.

    Example:
        >>> inverse_frequency([30, 10, 0])
        [0.6666666666666666, 2.0, 0.0]
    """
    present = sum(count > 0 for count in pixels)
    return [sum(pixels) / (present * count) if count else 0.0 for count in pixels]


def instances_of(
    labels: NDArray[np.uint8], *, background: int = 0, ignore_index: int = VOID
) -> NDArray[np.int32]:
    """Number the connected pieces of each class but the background: (H, W), 0 where there is none.

    Pieces connect through the sides of pixels, so that a gap one pixel wide, a diagonal one too,
    parts two cells.
    """
    numbered = np.zeros(labels.shape, np.int32)
    for label in np.unique(labels):
        if label not in (background, ignore_index):
            pieces = cv2.connectedComponents((labels == label).view(np.uint8), connectivity=4)[1]
            pieces[pieces > 0] += numbered.max()
            numbered += pieces
    return numbered


def separation(
    instances: NDArray[np.int32], *, w0: float = 10.0, sigma: float = 5.0
) -> NDArray[np.float64]:
    """Return w_0 exp(-(d_1 + d_2)^2 / (2 sigma^2)), 0 where fewer than two cells are near.

    Each cell's distances are computed in its neighbourhood only, so the time grows with the area
    of the cells, not with their number times the image.

    Args:
        instances: (H, W), number of the cell at each pixel, 0 between them. They need not be
            connected, so an instance map with touching cells will do.
        w0: Value where d_1 + d_2 = 0.
        sigma: Width in pixels.
    """
    nearest, second = (np.full(instances.shape, np.inf) for _ in range(2))
    for number, window in _windows(instances, int(np.ceil(REACH * sigma))):
        others = (instances[window] != number).view(np.uint8)
        distance = _distance_in_pixels(others)
        first = nearest[window]
        second[window] = np.minimum(second[window], np.maximum(first, distance))
        nearest[window] = np.minimum(first, distance)
    result: NDArray[np.float64] = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return result


def _distance_in_pixels(others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how far the nearest 0 is; OpenCV's float32, whose square is a whole number, mended."""
    rounded = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    return np.sqrt(np.rint(rounded**2))


def _windows(instances: NDArray[np.int32], reach: int) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield each instance with the rows and columns around it, `reach` more on every side."""
    rows, columns = np.nonzero(instances)
    numbers, member = np.unique(instances[rows, columns], return_inverse=True)
    edges = []
    for pixels in (rows, columns):
        first, last = np.full(len(numbers), instances.size), np.zeros(len(numbers), int)
        np.minimum.at(first, member, pixels)
        np.maximum.at(last, member, pixels)
        starts, ends = np.maximum(first - reach, 0), last + reach + 1
        edges.append([slice(*span) for span in zip(starts, ends, strict=True)])
    yield from zip(numbers.tolist(), zip(*edges, strict=True), strict=True)
