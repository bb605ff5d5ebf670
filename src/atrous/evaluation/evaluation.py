"""The outcome of one evaluation: the matrix, everything read from it, and how it was taken."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation import scores
from atrous.evaluation.bootstrap import bootstrap_interval
from atrous.labels import LabelSet

__all__ = ["Evaluation", "ImageScore"]

LEARNT_MARGIN = 0.01
"""A mean IoU within this of the best constant prediction has learnt nothing yet."""


@dataclass(frozen=True, eq=False)
class ImageScore:
    """One image's share of an evaluation.

    Counts per class, not the matrix: with 150 classes, 10 000 matrices would take 1.8 GB.

    Attributes:
        path: The image.
        mean_iou: Over the classes that occur in this image; NaN if all its pixels are void.
        pixel_accuracy: NaN if all its pixels are void.
        hits: (K,) int64, pixels of each class with the right label (n_ii).
        truth: (K,) int64, pixels of each class (t_i).
        predicted: (K,) int64, pixels labelled as each class, void aside.
    """

    path: Path
    mean_iou: float
    pixel_accuracy: float
    hits: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @classmethod
    def of(cls, path: Path, matrix: NDArray[np.int64]) -> "ImageScore":
        """Score one image by its own matrix."""
        return cls(
            path,
            scores.mean_iou(matrix),
            scores.pixel_accuracy(matrix),
            hits=np.diagonal(matrix).copy(),  # a view would keep the matrix
            truth=matrix.sum(1),
            predicted=matrix.sum(0),
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a model is on one split.

    Attributes:
        matrix: (K, K) int64 counts over the whole split; rows are true classes.
        label_set: Names of the classes.
        per_image: One score per image, in the order of the split.
        protocol: What decides the numbers: split, size, scales, precision, ...
    """

    matrix: NDArray[np.int64]
    label_set: LabelSet
    per_image: tuple[ImageScore, ...] = ()
    protocol: dict[str, object] = field(default_factory=dict)

    @property
    def num_present(self) -> int:
        """Return over how many classes the means run: those with true pixels."""
        return int(np.count_nonzero(self.matrix.sum(1)))

    @property
    def mean_iou(self) -> float:
        """Return the mean IoU over the classes that occur."""
        return scores.mean_iou(self.matrix)

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Return each class's IoU, None where it has no true pixel."""
        return _optional(scores.intersection_over_union(self.matrix))

    @property
    def class_accuracy(self) -> tuple[float | None, ...]:
        """Return each class's accuracy (recall), None where it has no true pixel."""
        return _optional(scores.class_accuracy(self.matrix))

    @property
    def pixel_accuracy(self) -> float:
        """Return the share of pixels with the right label."""
        return scores.pixel_accuracy(self.matrix)

    @property
    def mean_accuracy(self) -> float:
        """Return the mean of the classes' accuracies."""
        return scores.mean_accuracy(self.matrix)

    @property
    def frequency_weighted_iou(self) -> float:
        """Return the IoU weighted with the classes' shares of the true pixels."""
        return scores.frequency_weighted_iou(self.matrix)

    @property
    def baseline(self) -> tuple[float, int]:
        """Return the mean IoU of the best constant prediction, and its class."""
        return scores.trivial_baseline(self.matrix)

    @property
    def has_learnt(self) -> bool:
        """Return whether the mean IoU is more than 0.01 above the best constant prediction."""
        return self.mean_iou > self.baseline[0] + LEARNT_MARGIN

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean IoU, over images (percentile bootstrap)."""
        if not self.per_image:
            return float("nan"), float("nan")
        return bootstrap_interval(
            np.stack([image.hits for image in self.per_image]),
            np.stack([image.truth for image in self.per_image]),
            np.stack([image.predicted for image in self.per_image]),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values; a number that does not exist is None, never NaN."""
        baseline, constant = self.baseline
        return {
            "mean_iou": _number(self.mean_iou),
            "interval_95": [_number(bound) for bound in self.interval],
            "classes_scored": self.num_present,
            "classes": len(self.label_set),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "frequency_weighted_iou": _number(self.frequency_weighted_iou),
            "baseline_mean_iou": _number(baseline),
            "baseline_class": self.label_set.names[constant],
            "has_learnt": self.has_learnt,
            "names": list(self.label_set.names),
            "iou": list(self.iou),
            "class_accuracy": list(self.class_accuracy),
            "confusion_rows_are_ground_truth": self.matrix.tolist(),
            "valid_pixels": int(self.matrix.sum()),
            "images": len(self.per_image),
            "per_image": [
                {
                    "image": image.path.name,
                    "mean_iou": _number(image.mean_iou),
                    "pixel_accuracy": _number(image.pixel_accuracy),
                }
                for image in self.per_image
            ],
            "protocol": self.protocol,
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _optional(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(_number(float(value)) for value in values)
