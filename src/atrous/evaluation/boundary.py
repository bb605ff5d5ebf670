"""How well the borders lie: the boundary F1 (BF) score of Csurka et al. (BMVC 2013).

The tolerance is 0.75 % of the image's diagonal and the score of an image is the mean over the
classes of its truth, as in SegNet (Badrinarayanan et al., TPAMI 2017, Sec. 4.1): 4.5 px at
360x480. Where no paper says, we do: a boundary pixel of a class is one with a 4-neighbour of
another label inside the image; a predicted boundary under void is not held against the prediction,
but may match a true boundary beside it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["TOLERANCE", "boundary_f1"]

TOLERANCE = 0.0075
"""Of the diagonal; distances up to it count as met (Badrinarayanan et al., Sec. 4.1)."""

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def boundary_f1(
    predictions: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    tolerance: float = TOLERANCE,
    ignore_index: int = VOID,
) -> NDArray[np.float64]:
    """Return the BF score of each class in one image.

    Args:
        predictions: (H, W) class indices.
        labels: (H, W) true classes or `ignore_index`.
        num_classes: K.
        tolerance: Share of the image's diagonal within which a boundary counts as met.
        ignore_index: Label of void pixels.

    Returns:
        (K,) scores in [0, 1]; NaN for classes without a true pixel, 0 for those only missed.

    Raises:
        InputError: Shapes differ, or there is no image.

    Example:
        >>> labels = np.array([[0, 0, 1, 1]])
        >>> boundary_f1(labels[:, ::-1], labels, 3, tolerance=0.1)  # 0.1 of 4.1 px: exactly there
        array([ 0.,  0., nan])
    """
    if predictions.shape != labels.shape or labels.ndim != 2 or not labels.size:
        raise InputError(
            f"the prediction has shape {predictions.shape}, the labels {labels.shape}; "
            "give two maps (height, width) of one size"
        )
    reach = tolerance * float(np.hypot(*labels.shape))
    is_void = labels == ignore_index
    scores = np.full(num_classes, np.nan)
    for index in range(num_classes):
        truth = labels == index
        if truth.any():
            scores[index] = _f1(predictions == index, truth, is_void, reach)
    return scores


def _f1(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], is_void: NDArray[np.bool_], reach: float
) -> float:
    """Return 2 P R / (P + R) of one class that the truth has."""
    true_edge, edge = _boundary(truth), _boundary(found)
    judged = edge & ~is_void
    if not true_edge.any() and not judged.any():  # it fills the image, void aside
        return float(found[truth].all())
    if not true_edge.any() or not edge.any():
        return 0.0
    recall = float(_near(edge, reach)[true_edge].mean())
    precision = float(_near(true_edge, reach)[judged].mean()) if judged.any() else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask without its erosion; the image's border is no boundary."""
    area = mask.astype(np.uint8)
    edge: NDArray[np.bool_] = area != cv2.erode(area, CROSS)  # outside counts as inside
    return edge


def _near(edge: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Return which pixels lie within `reach` of an edge that has at least one pixel."""
    distance = cv2.distanceTransform(
        (~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    ).astype(np.float64)
    # Squares are whole numbers; rounding them takes the float32 root out of the comparison.
    near: NDArray[np.bool_] = np.rint(distance * distance) <= reach * reach
    return near
