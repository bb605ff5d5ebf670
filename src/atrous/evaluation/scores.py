"""What a confusion matrix says: accuracies and intersections over unions.

Every figure is a function of three counts per class, (..., 3, K): pixels that are right (n_ii),
true (t_i) and predicted (p_i). Matrices are (..., K, K); rows are true classes, columns
predictions. Classes without a true pixel are left out of every mean (and counted by the caller):
n_ii / t_i has no value there. Formulas: Long et al., CVPR 2015, Sec. 5.

An excluded class is left out of the means as well, but it is not void: its pixels are still
mistakes of whatever else they are predicted as.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLASS_FIGURES",
    "MEAN_FIGURES",
    "class_accuracy",
    "dice",
    "frequency_weighted_iou",
    "intersection_over_union",
    "mean_accuracy",
    "mean_dice",
    "mean_iou",
    "pixel_accuracy",
    "precision",
    "three_counts",
    "trivial_baseline",
]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Kept = NDArray[np.bool_] | None
"""(K,) which classes the means run over, if they occur; None for all."""


def three_counts(matrix: Counts) -> Counts:
    """Return (..., 3, K): right, true and predicted pixels of each class."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.stack([hits, matrix.sum(-1), matrix.sum(-2)], axis=-2)


def intersection_over_union(matrix: Counts) -> Floats:
    """Return n_ii / (t_i + p_i - n_ii) per class, shape (..., K); NaN for classes without truth.

    Example:
        >>> intersection_over_union(np.array([[3, 1], [0, 4]])).tolist()
        [0.75, 0.8]
    """
    return _iou(three_counts(matrix))


def class_accuracy(matrix: Counts) -> Floats:
    """Return n_ii / t_i (recall) per class, shape (..., K); NaN for classes without truth."""
    return _accuracy(three_counts(matrix))


def precision(matrix: Counts) -> Floats:
    """Return n_ii / p_i per class, shape (..., K); NaN without truth, 0 if never predicted."""
    return _precision(three_counts(matrix))


def dice(matrix: Counts) -> Floats:
    """Return 2 n_ii / (t_i + p_i), which is F1, per class, (..., K); NaN without truth.

    Example:
        >>> dice(np.array([[3, 1], [0, 4]])).round(3).tolist()
        [0.857, 0.889]
    """
    return _dice(three_counts(matrix))


def mean_iou(matrix: Counts, kept: Kept = None) -> float:
    """Return the mean IoU over the classes that occur; NaN if no pixel was counted.

    Example:
        >>> mean_iou(np.array([[3, 1], [0, 4]]))
        0.775
    """
    return _mean(intersection_over_union(matrix), kept)


def mean_accuracy(matrix: Counts, kept: Kept = None) -> float:
    """Return the mean class accuracy over the classes that occur; NaN if no pixel was counted."""
    return _mean(class_accuracy(matrix), kept)


def mean_dice(matrix: Counts, kept: Kept = None) -> float:
    """Return the mean Dice (F1) over the classes that occur; NaN if no pixel was counted."""
    return _mean(dice(matrix), kept)


def pixel_accuracy(matrix: Counts) -> float:
    """Return the share of pixels with the right label; NaN if no pixel was counted."""
    return float(_pixel_accuracy(three_counts(matrix)))


def frequency_weighted_iou(matrix: Counts, kept: Kept = None) -> float:
    """Return the IoU averaged with each class's share of the true pixels as its weight."""
    truth = matrix.sum(-1) if kept is None else matrix.sum(-1) * kept
    if not truth.sum():
        return float("nan")
    return float(np.nansum(truth * intersection_over_union(matrix)) / truth.sum())


def trivial_baseline(matrix: Counts, kept: Kept = None) -> tuple[float, int]:
    """Return the best mean IoU that labelling everything with one class reaches, and that class.

    Only the truth (row sums) is used. A constant prediction of class c scores t_c / t there and 0
    for every other class that occurs, so the best c is the commonest class.

    Example:
        >>> trivial_baseline(np.array([[3, 1], [0, 4]]))
        (0.25, 0)
    """
    truth = matrix.sum(1) if kept is None else matrix.sum(1) * kept
    if not truth.sum():
        return float("nan"), 0
    best = int(truth.argmax())
    return float(truth[best] / matrix.sum() / np.count_nonzero(truth)), best


def _iou(counts: Counts | Floats) -> Floats:
    hits, truth, predicted = _parts(counts)
    return _divide(hits, np.where(truth > 0, truth + predicted - hits, 0))


def _accuracy(counts: Counts | Floats) -> Floats:
    hits, truth, _ = _parts(counts)
    return _divide(hits, truth)


def _precision(counts: Counts | Floats) -> Floats:
    hits, truth, predicted = _parts(counts)
    return _divide(hits, np.where(truth > 0, np.maximum(predicted, 1), 0))


def _dice(counts: Counts | Floats) -> Floats:
    hits, truth, predicted = _parts(counts)
    return _divide(2 * hits, np.where(truth > 0, truth + predicted, 0))


def _pixel_accuracy(counts: Counts | Floats) -> Floats:
    hits, truth, _ = _parts(counts)
    return _divide(hits.sum(-1), truth.sum(-1))


CLASS_FIGURES: dict[str, Callable[[Counts | Floats], Floats]] = {
    "iou": _iou,
    "class_accuracy": _accuracy,
    "precision": _precision,
    "dice": _dice,
}
"""Name -> counts (..., 3, K) to a figure per class (..., K); NaN for classes without truth."""


def _mean_of(name: str) -> Callable[[Counts | Floats, NDArray[np.bool_]], Floats]:
    def mean(counts: Counts | Floats, kept: NDArray[np.bool_]) -> Floats:
        values = CLASS_FIGURES[name](counts)
        known = ~np.isnan(values) & kept
        return _divide(np.where(known, values, 0).sum(-1), known.sum(-1))

    return mean


def _weighted_iou(counts: Counts | Floats, kept: NDArray[np.bool_]) -> Floats:
    truth = _parts(counts)[1] * kept
    return _divide((truth * np.nan_to_num(_iou(counts))).sum(-1), truth.sum(-1))


MEAN_FIGURES: dict[str, Callable[[Counts | Floats, NDArray[np.bool_]], Floats]] = {
    "mean_iou": _mean_of("iou"),
    "mean_accuracy": _mean_of("class_accuracy"),
    "mean_precision": _mean_of("precision"),
    "mean_dice": _mean_of("dice"),
    "frequency_weighted_iou": _weighted_iou,
    "pixel_accuracy": lambda counts, _: _pixel_accuracy(counts),
}
"""Name -> (counts (..., 3, K), kept (K,)) to one figure each (...,); NaN where there is none."""


def _parts(counts: Counts | Floats) -> tuple[Counts | Floats, Counts | Floats, Counts | Floats]:
    return counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]


def _divide(above: Counts | Floats, below: Counts | Floats) -> Floats:
    """Return above / below in float64, NaN where below is 0."""
    quotient = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=quotient, where=np.asarray(below) > 0)
    return quotient


def _mean(values: Floats, kept: Kept) -> float:
    known = values[~np.isnan(values) if kept is None else ~np.isnan(values) & kept]
    return float(known.mean()) if known.size else float("nan")
