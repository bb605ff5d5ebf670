"""Boundary IoU (Cheng et al., CVPR 2021): the IoU of what lies near the boundaries alone.

Of a mask only the pixels within d of its contour count, d = 2 % of the image's diagonal. As in the
authors' code the distance is that of a square (d erosions by 3 x 3) and the image's border is part
of the contour. Of classes instead of objects, so counted over the data set as mean IoU is. Void is
void in the prediction as well: a perfect prediction scores 1.
"""

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
    from atrous.evaluation.boundary_kernel import count_ring

    check_maps(predictions, labels)
    truth = as_labels(labels, ignore_index)
    found = np.where(truth == VOID, np.uint8(VOID), as_labels(predictions))
    width = max(1, round(ratio * float(np.hypot(*labels.shape))))
    counts = np.zeros((3, num_classes), np.int64)
    count_ring(found, truth, _near_contour(found, width), _near_contour(truth, width), counts)
    return counts


def _near_contour(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return where the square of 2 `width` + 1 pixels holds another label or leaves the image."""
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    near: NDArray[np.bool_] = cv2.dilate(labels, square) != cv2.erode(labels, square)
    near[:width] = near[-width:] = True
    near[:, :width] = near[:, -width:] = True
    return near
