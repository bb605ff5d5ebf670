"""Boundary IoU (Cheng et al., CVPR 2021): the IoU of what lies near the boundaries alone.

Of a mask only the pixels within d of its contour count, d = 2 % of the image's diagonal. As in the
authors' code the distance is that of a square (d erosions by 3 x 3) and the image's border is part
of the contour. Of classes instead of objects, so counted over the data set as mean IoU is. Void is
void in the prediction as well: a perfect prediction scores 1.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.boundary import as_labels, check_maps
from atrous.labels import VOID

__all__ = ["RATIO", "ring_counts"]

RATIO = 0.02
"""Of the diagonal (Cheng et al., Sec. 5): 12 px at 360x480."""


def ring_counts(
    predictions: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    ratio: float = RATIO,
    ignore_index: int = VOID,
) -> NDArray[np.int64]:
    """Return what Boundary IoU is taken from, added over images: `both / (truth + found - both)`.

    Args:
        predictions: (H, W) class indices.
        labels: (H, W) true classes or `ignore_index`.
        num_classes: K.
        ratio: Width of the ring as a share of the image's diagonal; at least one pixel.
        ignore_index: Label of void pixels.

    Returns:
        (3, K): pixels of each class near its contour in both maps, in the labels, in the
        predictions. `scores.MEAN_FIGURES["mean_iou"]` reads the mean Boundary IoU from it.

    Raises:
        InputError: Shapes differ, or there is no image.
    """
    from atrous.evaluation.confusion_kernel import count_pairs  # numba takes half a second to load

    check_maps(predictions, labels)
    truth = as_labels(labels, ignore_index)
    found = as_labels(predictions) | _void_where(truth == VOID)
    width = max(1, round(ratio * float(np.hypot(*labels.shape))))
    ring, found_ring = (
        (each | _void_where(~_near_contour(each, width))).reshape(-1) for each in (truth, found)
    )
    pairs, _ = count_pairs(ring, found_ring, num_classes, ring.dtype.type(0))
    counts: NDArray[np.int64] = np.stack([np.diagonal(pairs), pairs.sum(1), pairs.sum(0)])
    return counts[:, :num_classes]


def _void_where(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 255 where a mask is set, else 0; labels combined with it by OR are void there."""
    return np.negative(mask.view(np.uint8))


def _near_contour(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return where the square of 2 `width` + 1 pixels holds another label or leaves the image.

    Then, and only then, the square of 2 `width` - 1 holds a pixel beside another label or at the
    image's border. Those are spread from 1 pixel to 2, 4, 8, ..., down and then across.
    """
    reach, (height, columns) = width - 1, labels.shape
    near = np.zeros((height + 2 * reach, columns + 2 * reach), np.bool_)
    inner = near[reach : reach + height, reach : reach + columns]
    square = np.ones((3, 3), np.uint8)
    np.not_equal(cv2.dilate(labels, square), cv2.erode(labels, square), out=inner)
    inner[[0, -1]] = inner[:, [0, -1]] = True
    for step in _jumps(2 * reach + 1):
        near = near[:-step] | near[step:]
    for step in _jumps(2 * reach + 1):
        near = near[:, :-step] | near[:, step:]
    return near


def _jumps(window: int) -> Iterator[int]:
    """Yield how far to look ahead, again and again, until `window` pixels are seen."""
    seen = 1
    while seen < window:
        step = min(seen, window - seen)
        yield step
        seen += step
