"""How well the borders lie: the boundary F1 (BF) score of Csurka et al. (BMVC 2013).

The tolerance is 0.75 % of the image's diagonal and the score of an image is the mean over the
classes of its truth, as in SegNet (Badrinarayanan et al., TPAMI 2017, Sec. 4.1): 4.5 px at
360x480. Where no paper says, we do: a boundary pixel of a class is one with a 4-neighbour of
another label inside the image. SegNet's released script pairs the pixels of both boundaries one to
one and also counts classes that are only predicted; we do neither.

Void is no class, so a boundary against it says only that a class may end somewhere beyond. Such
boundaries may match, but count themselves in two cases alone: a pixel that also has a neighbour of
another class outside void, and a true one that is predicted as another class (an object ringed by
void that was missed). A prediction that is right wherever there is a label therefore scores 1.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["TOLERANCE", "as_labels", "boundary_f1", "check_maps"]

TOLERANCE = 0.0075
"""Of the diagonal; distances up to it count as met (Badrinarayanan et al., Sec. 4.1)."""


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
    check_maps(predictions, labels)
    truth, found = as_labels(labels, ignore_index), as_labels(predictions)
    reach = tolerance * float(np.hypot(*labels.shape))
    true_edge, edge, occurs = _count_edges(truth, found, num_classes, reach)
    scores = _f1(true_edge, edge)
    for index in np.flatnonzero(occurs & (true_edge[:, 0] == 0) & (edge[:, 0] == 0)):
        scores[index] = (found[truth == index] == index).all()  # it borders on nothing but void
    scores[~occurs] = np.nan
    return scores


def check_maps(predictions: np.ndarray, labels: np.ndarray) -> None:
    """Refuse what is not two label maps of one size.

    Raises:
        InputError: Shapes differ, or there is no image.
    """
    if predictions.shape != labels.shape or labels.ndim != 2 or not labels.size:
        raise InputError(
            f"the prediction has shape {predictions.shape}, the labels {labels.shape}; "
            "give two maps (height, width) of one size"
        )


def as_labels(values: np.ndarray, void: int | None = None) -> NDArray[np.uint8]:
    """Return a map as uint8 in which everything that is no class, `void` included, is 255."""
    if values.dtype == np.uint8 and void in (None, VOID):
        return np.ascontiguousarray(values)
    outside = (values < 0) | (values > VOID)
    if void is not None:
        outside |= values == void
    return np.where(outside, VOID, values).astype(np.uint8)


def _count_edges(
    truth: NDArray[np.uint8], found: NDArray[np.uint8], num_classes: int, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return (K, 2) of the truth and of the prediction, judged boundary pixels and those met.

    The third are the classes that occur in the truth, (K,).
    """
    from atrous.evaluation.boundary_kernel import count_met, find_edges  # numba takes half a second

    margin, (height, width) = int(reach), truth.shape
    edges = np.empty((2, height + 2 * margin, width + 2 * margin), np.uint8)
    judged = np.empty((2, truth.size, 2), np.int32)
    counts, occurs = np.zeros((2, num_classes, 2), np.int64), np.zeros((2, 256), np.bool_)
    numbers = [
        find_edges(labels, truth, found, edges[side], judged[side], occurs[side])
        for side, labels in enumerate((truth, found))
    ]
    for side, labels in enumerate((truth, found)):
        points = judged[side, : numbers[side]]
        count_met(labels, points, edges[1 - side], _disk(reach), counts[side])
    return counts[0], counts[1], occurs[0, :num_classes]


def _f1(true_edge: NDArray[np.int64], edge: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 2 P R / (P + R) of each class from (K, 2) counts of both boundaries."""
    # Where nothing of a boundary is judged, nothing speaks against it.
    precision, recall = (
        np.where(counts[:, 0] > 0, counts[:, 1] / np.maximum(counts[:, 0], 1), 1.0)
        for counts in (edge, true_edge)
    )
    total = precision + recall
    scores: NDArray[np.float64] = np.divide(
        2 * precision * recall, total, out=np.zeros_like(total), where=total > 0
    )
    return scores


@functools.lru_cache(maxsize=64)  # few sizes, many images
def _disk(reach: float) -> NDArray[np.int64]:
    """Return the offsets (dy, dx) within `reach`, nearest first: most boundaries are met soon."""
    side = np.arange(-int(reach), int(reach) + 1)
    dy, dx = (part.ravel() for part in np.meshgrid(side, side, indexing="ij"))
    squared = dy * dy + dx * dx
    order = np.argsort(squared, kind="stable")
    order = order[squared[order] <= reach * reach]
    return np.stack([dy[order], dx[order]], 1).astype(np.int64)
