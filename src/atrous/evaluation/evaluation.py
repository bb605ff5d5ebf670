"""The outcome of one evaluation: the matrix, everything read from it, and how it was taken."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from atrous.errors import unknown
from atrous.evaluation import scores
from atrous.evaluation.calibration import reliability
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.figures import Figure, class_figures, detail_figures, mean_figures
from atrous.evaluation.image_names import image_names
from atrous.evaluation.image_score import ImageScore
from atrous.evaluation.object_rows import class_size_rows, size_matrices, size_rows
from atrous.evaluation.trimap import WIDTHS
from atrous.labels import LabelSet

__all__ = ["FEW_IMAGES", "LEARNT_MARGIN", "Evaluation"]

FEW_IMAGES = 5
"""A class in fewer images than this is missing from many draws of the bootstrap: of a class in k
images about exp(-k) of them, 37 % for one image and 2 % for four."""

LEARNT_MARGIN = 0.01
"""A mean IoU within this of the best constant prediction has learnt nothing yet."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a model is on one split.

    Attributes:
        matrix: (K, K) int64 counts over the whole split; rows are true classes.
        label_set: Names of the classes.
        per_image: One score per image, in the order of the split.
        protocol: What decides the numbers: split, size, scales, precision, ...
        excluded: Names of classes that the means leave out. They are not void: their pixels are
            counted, and are mistakes of whatever else they are predicted as.

    Raises:
        InputError: No class has the name of an excluded one.
    """

    matrix: NDArray[np.int64]
    label_set: LabelSet
    per_image: tuple[ImageScore, ...] = ()
    protocol: dict[str, object] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the names of the excluded classes."""
        for name in self.excluded:
            if name not in self.label_set.names:
                raise unknown("class", name, self.label_set.names)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Return (K,): the classes that the means run over if they occur."""
        return np.array([name not in self.excluded for name in self.label_set.names])

    @property
    def num_present(self) -> int:
        """Return over how many classes the means run: those with true pixels, not excluded."""
        return int(np.count_nonzero((self.matrix.sum(1) > 0) & self.kept))

    @property
    def absent(self) -> tuple[str, ...]:
        """Return the names of the classes without a true pixel, which no mean holds."""
        truth = self.matrix.sum(1)
        return tuple(n for n, t in zip(self.label_set.names, truth, strict=True) if not t)

    @property
    def rare_classes(self) -> tuple[str, ...]:
        """Return the names of the scored classes that occur in fewer than `FEW_IMAGES` images.

        Draws without a class take the mean over the others, so the intervals of means are in part
        those of another figure.
        """
        if not self.per_image:
            return ()
        images = np.sum([image.truth > 0 for image in self.per_image], axis=0)
        rare = (images > 0) & (images < FEW_IMAGES) & self.kept
        return tuple(self.label_set.names[index] for index in np.flatnonzero(rare))

    @property
    def mean_iou(self) -> float:
        """Return the mean IoU over the classes that occur."""
        return scores.mean_iou(self.matrix, self.kept)

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Return each class's IoU, None where it has no true pixel."""
        return _optional(scores.intersection_over_union(self.matrix))

    @property
    def class_accuracy(self) -> tuple[float | None, ...]:
        """Return each class's accuracy (recall), None where it has no true pixel."""
        return _optional(scores.class_accuracy(self.matrix))

    @property
    def precision(self) -> tuple[float | None, ...]:
        """Return each class's precision, None where it has no true pixel."""
        return _optional(scores.precision(self.matrix))

    @property
    def dice(self) -> tuple[float | None, ...]:
        """Return each class's Dice, which is F1, None where it has no true pixel."""
        return _optional(scores.dice(self.matrix))

    @property
    def pixel_accuracy(self) -> float:
        """Return the share of pixels with the right label, excluded classes and all."""
        return scores.pixel_accuracy(self.matrix)

    @property
    def mean_accuracy(self) -> float:
        """Return the mean of the classes' accuracies."""
        return scores.mean_accuracy(self.matrix, self.kept)

    @property
    def mean_dice(self) -> float:
        """Return the mean of the classes' Dice."""
        return scores.mean_dice(self.matrix, self.kept)

    @property
    def frequency_weighted_iou(self) -> float:
        """Return the IoU weighted with the classes' shares of the true pixels."""
        return scores.frequency_weighted_iou(self.matrix, self.kept)

    @property
    def baseline(self) -> tuple[float, int]:
        """Return the mean IoU of the best constant prediction, and its class."""
        return scores.trivial_baseline(self.matrix, self.kept)

    @property
    def has_learnt(self) -> bool:
        """Return whether the mean IoU is more than 0.01 above the best constant prediction."""
        return self.mean_iou > self.baseline[0] + LEARNT_MARGIN

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean IoU, over images (percentile bootstrap)."""
        if not self.per_image:
            return float("nan"), float("nan")
        figure = self.figures["mean_iou"]
        return figure.low, figure.high

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Return every single figure with its interval; {} without scores of the images."""
        if not self.per_image:
            return {}
        found = mean_figures(self.per_image, self.kept)
        return found | {
            name: figures[0] for name, figures in self.curves.items() if not figures[1:]
        }

    @cached_property
    def curves(self) -> dict[str, list[Figure]]:
        """Return the figures of boundaries, calibration and object sizes; {} without details."""
        details = self._details
        if not details or len(details) < len(self.per_image):
            return {}
        return detail_figures(details, self.kept)

    @cached_property
    def class_figures(self) -> dict[str, list[Figure]]:
        """Return IoU, accuracy, precision and Dice of every class with their intervals."""
        return class_figures(self.per_image) if self.per_image else {}

    @property
    def reliability(self) -> list[dict[str, float]]:
        """Return the reliability diagram, a row for each bin; [] for finished masks."""
        if "expected_calibration_error" not in self.curves:
            return []
        bins = [image.calibration for image in self._details]
        return reliability(np.sum([each for each in bins if each is not None], axis=0))

    @cached_property
    def size_matrices(self) -> NDArray[np.int64]:
        """Return (3, K, K): `matrix` split by the size of the true object; 0 without details.

        Sizes as in `object_sizes.SIZES`: small, medium, large.
        """
        return size_matrices(self._details if self.curves else [], len(self.label_set))

    @property
    def object_sizes(self) -> list[dict[str, object]]:
        """Return a row for each size of object; [] without details."""
        return size_rows(self._details, self.kept, self.curves) if self.curves else []

    @property
    def object_sizes_by_class(self) -> list[dict[str, object]]:
        """Return a row for each class and size of which there is an object, true or predicted."""
        if not self.curves:
            return []
        return class_size_rows(self._details, self.size_matrices, self.label_set.names)

    @property
    def _details(self) -> list[ImageDetails]:
        return [image.details for image in self.per_image if image.details is not None]

    def to_json(self) -> dict[str, object]:
        """Return plain values; a number that does not exist is None, never NaN."""
        baseline, constant = self.baseline
        return {
            "mean_iou": _number(self.mean_iou),
            "interval_95": [_number(bound) for bound in self.interval],
            "classes_scored": self.num_present,
            "classes": len(self.label_set),
            "never_occur": list(self.absent),
            "excluded": list(self.excluded),
            "rare_classes": list(self.rare_classes),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "mean_dice": _number(self.mean_dice),
            "frequency_weighted_iou": _number(self.frequency_weighted_iou),
            "baseline_mean_iou": _number(baseline),
            "baseline_class": self.label_set.names[constant],
            "has_learnt": self.has_learnt,
            "names": list(self.label_set.names),
            "iou": list(self.iou),
            "class_accuracy": list(self.class_accuracy),
            "precision": list(self.precision),
            "dice": list(self.dice),
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "class_figures": {
                name: [figure.to_json() for figure in figures]
                for name, figures in self.class_figures.items()
            },
            **self._details_to_json(),
            "confusion_rows_are_ground_truth": self.matrix.tolist(),
            "valid_pixels": int(self.matrix.sum()),
            "images": len(self.per_image),
            "per_image": [
                {
                    "image": name,
                    "mean_iou": _number(image.mean_iou),
                    "pixel_accuracy": _number(image.pixel_accuracy),
                }
                for name, image in zip(
                    image_names([image.path for image in self.per_image]),
                    self.per_image,
                    strict=True,
                )
            ],
            "protocol": self.protocol,
        }

    def _details_to_json(self) -> dict[str, object]:
        if not self.curves:
            return {}
        trimap = zip(WIDTHS, self.curves["trimap_iou"], strict=True)
        return {
            "trimap": [{"width": width, **figure.to_json()} for width, figure in trimap],
            "reliability": self.reliability,
            "object_sizes": self.object_sizes,
            "object_sizes_by_class": self.object_sizes_by_class,
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _optional(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(_number(float(value)) for value in values)
