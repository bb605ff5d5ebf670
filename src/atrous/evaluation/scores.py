"""What a confusion matrix says: accuracies and intersections over unions.

All functions take (K, K) counts or a stack (..., K, K) of them; rows are true classes, columns
predictions. Classes without a true pixel are left out of every mean (and counted by the caller):
n_ii / t_i has no value there. Formulas: Long et al., CVPR 2015, Sec. 5.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "class_accuracy",
    "frequency_weighted_iou",
    "intersection_over_union",
    "mean_accuracy",
    "mean_iou",
    "pixel_accuracy",
    "trivial_baseline",
]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def intersection_over_union(matrix: Counts) -> Floats:
    """Return n_ii / (t_i + p_i - n_ii) per class, shape (..., K); NaN for classes without truth.

    Example:
        >>> intersection_over_union(np.array([[3, 1], [0, 4]])).tolist()
        [0.75, 0.8]
    """
    hits, truth, predicted = _hits(matrix), matrix.sum(-1), matrix.sum(-2)
    return _divide(hits, np.where(truth > 0, truth + predicted - hits, 0))


def class_accuracy(matrix: Counts) -> Floats:
    """Return n_ii / t_i per class, shape (..., K); NaN for classes without truth."""
    return _divide(_hits(matrix), matrix.sum(-1))


def mean_iou(matrix: Counts) -> float:
    """Return the mean IoU over the classes that occur in the truth; NaN if no pixel was counted.

    Example:
        >>> mean_iou(np.array([[3, 1], [0, 4]]))
        0.775
    """
    return _mean(intersection_over_union(matrix))


def mean_accuracy(matrix: Counts) -> float:
    """Return the mean class accuracy over the classes that occur; NaN if no pixel was counted."""
    return _mean(class_accuracy(matrix))


def pixel_accuracy(matrix: Counts) -> float:
    """Return the share of pixels with the right label; NaN if no pixel was counted."""
    return float(_divide(_hits(matrix).sum(-1), matrix.sum((-1, -2))))


def frequency_weighted_iou(matrix: Counts) -> float:
    """Return the IoU averaged with each class's share of the true pixels as its weight."""
    truth = matrix.sum(-1)
    if not truth.sum():
        return float("nan")
    return float(np.nansum(truth * intersection_over_union(matrix)) / truth.sum())


def trivial_baseline(matrix: Counts) -> tuple[float, int]:
    """Return the best mean IoU that labelling everything with one class reaches, and that class.

    Only the truth (row sums) is used. A constant prediction of class c scores t_c / t there and 0
    for every other class that occurs, so the best c is the commonest class.

    Example:
        >>> trivial_baseline(np.array([[3, 1], [0, 4]]))
        (0.25, 0)
    """
    truth = matrix.sum(1)
    if not truth.sum():
        return float("nan"), 0
    best = int(truth.argmax())
    return float(truth[best] / truth.sum() / np.count_nonzero(truth)), best


def _hits(matrix: Counts) -> Counts:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _divide(above: Counts, below: Counts) -> Floats:
    """Return above / below in float64, NaN where below is 0."""
    quotient = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=quotient, where=np.asarray(below) > 0)
    return quotient


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
