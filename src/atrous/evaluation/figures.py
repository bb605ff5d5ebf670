"""Every figure of an evaluation with its 95 % interval, in one table.

All of them are functions of sums over images, so all intervals come from the same draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.bootstrap import intervals
from atrous.evaluation.calibration import expected_calibration_error
from atrous.evaluation.object_sizes import SIZES
from atrous.evaluation.scores import CLASS_FIGURES, MEAN_FIGURES
from atrous.evaluation.trimap import WIDTHS

if TYPE_CHECKING:
    from atrous.evaluation.details import ImageDetails
    from atrous.evaluation.image_score import ImageScore

__all__ = ["Figure", "class_figures", "detail_figures", "mean_figures"]

Floats = NDArray[np.float64]
Sums = NDArray[np.signedinteger] | Floats
Kept = NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """One number and the 95 % interval of it over images.

    Attributes:
        value: A fraction; NaN where there is none (no pixel is scored).
        low: Lower bound; NaN for fewer than two images.
        high: Upper bound.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        """Return plain values, None for NaN."""
        return {
            "value": _number(self.value),
            "interval_95": [_number(self.low), _number(self.high)],
        }


def mean_figures(images: Sequence["ImageScore"], kept: Kept) -> dict[str, Figure]:
    """Return the figures that the counts per class give, over the `kept` (K,) classes."""

    def read(sums: Sums) -> Floats:
        return np.stack([read_one(sums, kept) for read_one in MEAN_FIGURES.values()], -1)

    return dict(zip(MEAN_FIGURES, _figures(_counts(images), read), strict=True))


def class_figures(images: Sequence["ImageScore"]) -> dict[str, list[Figure]]:
    """Return IoU, accuracy, precision and Dice of every class; NaN for those without truth."""
    counts = _counts(images)
    return {name: _figures(counts, read) for name, read in CLASS_FIGURES.items()}


def detail_figures(details: Sequence["ImageDetails"], kept: Kept) -> dict[str, list[Figure]]:
    """Return boundary scores, calibration and recall by object size; most are lists of one.

    Args:
        details: Of every image.
        kept: (K,) classes that the means run over.
    """
    rings = np.stack([image.ring for image in details])
    bands = np.stack([image.bands for image in details])
    np.cumsum(bands, axis=1, out=bands)  # in place: the largest thing that is held
    objects = np.stack([image.objects[kept].sum(0) for image in details])
    found = {
        "boundary_f1": _figures(_boundary_f1(details, kept), lambda sums: _share(sums)[:, None]),
        "boundary_iou": _figures(rings, lambda sums: MEAN_FIGURES["mean_iou"](sums, kept)[:, None]),
        "trimap_iou": _figures(bands, lambda sums: MEAN_FIGURES["mean_iou"](sums, kept)),
        "object_recall": _figures(objects, lambda sums: _share(sums[..., [1, 0]])),
        "object_pixel_recall": _figures(objects, lambda sums: _share(sums[..., [3, 2]])),
    }
    for name, each in (
        ("expected_calibration_error", [image.calibration for image in details]),
        ("expected_calibration_error_uncalibrated", [image.uncalibrated for image in details]),
    ):
        bins = [sums for sums in each if sums is not None]
        if len(bins) == len(details):
            found[name] = _figures(
                np.stack(bins), lambda sums: expected_calibration_error(sums)[:, None]
            )
    assert len(found["trimap_iou"]) == len(WIDTHS)
    assert len(found["object_recall"]) == len(SIZES)
    return found


def _figures(statistics: Sums, read: Callable[[Floats], Floats]) -> list[Figure]:
    """Return the figures that `read` takes from sums (R, ...): (R, F)."""
    values = read(statistics.sum(0, keepdims=True).astype(np.float64))[0]
    low, high = intervals(statistics, read)
    return [Figure(*map(float, each)) for each in zip(values, low, high, strict=True)]


def _counts(images: Sequence["ImageScore"]) -> NDArray[np.int64]:
    return np.stack([np.stack([image.hits, image.truth, image.predicted]) for image in images])


def _boundary_f1(details: Sequence["ImageDetails"], kept: Kept) -> Floats:
    """Return (N, 2): an image's mean over its classes and 1, or zeros where it has none."""
    scores = np.stack([image.boundary_f1 for image in details])
    known = ~np.isnan(scores) & kept
    number = known.sum(1)
    means = np.where(known, scores, 0).sum(1) / np.maximum(number, 1)
    return np.stack([means, (number > 0).astype(np.float64)], 1)


def _share(sums: Floats) -> Floats:
    """Return first over second of the last axis, NaN where the second is 0."""
    part, whole = sums[..., 0], sums[..., 1]
    share: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
