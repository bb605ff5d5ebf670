"""One image's share of an evaluation: its own scores, and what it adds to those of the whole."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation import scores
from atrous.evaluation.details import ImageDetails

__all__ = ["ImageScore"]


@dataclass(frozen=True, eq=False)
class ImageScore:
    """One image's share of an evaluation.

    Counts per class, not the matrix: with 150 classes, 10 000 matrices would take 1.8 GB.

    Attributes:
        path: The image.
        mean_iou: Over the classes that occur in this image and count; NaN if there are none.
        pixel_accuracy: NaN if all its pixels are void.
        hits: (K,) int64, pixels of each class with the right label (n_ii).
        truth: (K,) int64, pixels of each class (t_i).
        predicted: (K,) int64, pixels labelled as each class, void aside.
        details: What boundary scores and calibration need, if they were asked for.
    """

    path: Path
    mean_iou: float
    pixel_accuracy: float
    hits: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    details: ImageDetails | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        matrix: NDArray[np.int64],
        details: ImageDetails | None = None,
        kept: NDArray[np.bool_] | None = None,
    ) -> "ImageScore":
        """Score one image by its own matrix; its mean runs over the `kept` (K,) classes."""
        return cls(
            path,
            scores.mean_iou(matrix, kept),
            scores.pixel_accuracy(matrix),
            hits=np.diagonal(matrix).copy(),  # a view would keep the matrix
            truth=matrix.sum(1),
            predicted=matrix.sum(0),
            details=details,
        )
