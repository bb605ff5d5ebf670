"""What one image adds to the figures that need more than counts per class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.boundary import boundary_f1
from atrous.evaluation.boundary_iou import ring_counts
from atrous.evaluation.calibration import confidence_bins
from atrous.evaluation.object_sizes import object_counts
from atrous.evaluation.subject import Prediction
from atrous.evaluation.trimap import band_counts

__all__ = ["ImageDetails"]

MISTAKES = 8
"""Pairs of classes that are remembered of an image, to show the worst ones."""


@dataclass(frozen=True, eq=False)
class ImageDetails:
    """Sums over the pixels of one image; nothing here grows with its size.

    Attributes:
        boundary_f1: (K,) BF score of each class; NaN for those without a true pixel.
        ring: (3, K) of `ring_counts`, for Boundary IoU.
        bands: (40, 3, K) int32 of `band_counts`, for the trimap curve.
        objects: (K, 3, 4) int32 of `object_counts`: true objects and what was found of them.
        made_up: (K, 3, 4) int32, predicted objects and what of them is true.
        by_size: (P, 4) int32: size of the true object, true class, predicted class and pixels, of
            the pairs that occur. As matrices they would take 270 kB an image of 150 classes.
        calibration: (3, 15) of `confidence_bins`, or None for finished masks.
        uncalibrated: The same without the model's temperature; None where it has none.
        mistakes: (true class, predicted class, pixels), the largest first.
    """

    boundary_f1: NDArray[np.float64]
    ring: NDArray[np.int64]
    bands: NDArray[np.int32]
    objects: NDArray[np.int32]
    made_up: NDArray[np.int32]
    by_size: NDArray[np.int32]
    calibration: NDArray[np.float64] | None
    mistakes: tuple[tuple[int, int, int], ...]
    uncalibrated: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        labels: np.ndarray,
        matrix: NDArray[np.int64],
    ) -> "ImageDetails":
        """Take them from two label maps (H, W) whose confusion matrix has been counted."""
        classes, (predictions, confidence, untempered) = len(matrix), prediction
        objects, by_size = object_counts(labels, predictions, classes)
        made_up, _ = object_counts(predictions, labels, classes)
        return cls(
            boundary_f1=boundary_f1(predictions, labels, classes),
            ring=ring_counts(predictions, labels, classes),
            bands=band_counts(predictions, labels, classes).astype(np.int32),
            objects=objects.astype(np.int32),
            made_up=made_up.astype(np.int32),
            by_size=np.column_stack([*np.nonzero(by_size), by_size[by_size > 0]]).astype(np.int32),
            calibration=None
            if confidence is None
            else confidence_bins(confidence, predictions, labels),
            mistakes=_largest(matrix),
            uncalibrated=None
            if untempered is None
            else confidence_bins(untempered, predictions, labels),
        )


def _largest(matrix: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:MISTAKES]
    pairs = (divmod(int(place), len(matrix)) for place in order)
    return tuple((i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j])
