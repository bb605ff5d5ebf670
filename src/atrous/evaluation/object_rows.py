"""What an evaluation says of objects by their size, as rows of plain values."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.details import ImageDetails
from atrous.evaluation.figures import Figure
from atrous.evaluation.object_sizes import SIZES

__all__ = ["class_size_rows", "size_matrices", "size_rows"]


def size_rows(
    details: Sequence[ImageDetails],
    kept: NDArray[np.bool_],
    curves: Mapping[str, Sequence[Figure]],
) -> list[dict[str, object]]:
    """Return a row for each size, of all `kept` (K,) classes; `curves` has the shares found."""
    true, predicted = _totals(details)
    true, predicted = true[kept].sum(0), predicted[kept].sum(0)
    return [
        {
            "size": name,
            "from_pixels": smallest,
            "objects": int(true[index, 0]),
            "found": curves["object_recall"][index].to_json(),
            "pixel_recall": curves["object_pixel_recall"][index].to_json(),
            "predicted_objects": int(predicted[index, 0]),
            "made_up": int(predicted[index, 0] - predicted[index, 1]),
        }
        for index, (name, smallest) in enumerate(SIZES)
    ]


def class_size_rows(
    details: Sequence[ImageDetails], matrices: NDArray[np.int64], names: Sequence[str]
) -> list[dict[str, object]]:
    """Return a row for each class and size of which there is an object, true or predicted.

    Args:
        details: Of every image.
        matrices: (3, K, K) of `size_matrices`.
        names: Of the K classes.
    """
    true, predicted = _totals(details)
    return [
        {
            "class": name,
            "size": size,
            "objects": int(true[k, index, 0]),
            "found": int(true[k, index, 1]),
            "pixels": int(true[k, index, 2]),
            "pixel_recall": _ratio(true[k, index, 3], true[k, index, 2]),
            "predicted_as": _predicted_as(matrices[index, k], names),
            "predicted_objects": int(predicted[k, index, 0]),
            "made_up": int(predicted[k, index, 0] - predicted[k, index, 1]),
        }
        for k, name in enumerate(names)
        for index, (size, _) in enumerate(SIZES)
        if true[k, index, 0] or predicted[k, index, 0]
    ]


def size_matrices(details: Sequence[ImageDetails], num_classes: int) -> NDArray[np.int64]:
    """Return (3, K, K): for each size, the pixels of its true objects by true, predicted class."""
    total = np.zeros((len(SIZES), num_classes, num_classes), np.int64)
    for image in details:
        *place, pixels = image.by_size.T
        total[tuple(place)] += pixels  # no place occurs twice in an image
    return total


def _totals(details: Sequence[ImageDetails]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (K, 3, 4) of the true and of the predicted objects."""
    true = np.sum([image.objects for image in details], axis=0)
    return true, np.sum([image.made_up for image in details], axis=0)


def _predicted_as(row: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Return class -> pixels, the largest first, without those that have none."""
    order = np.argsort(-row, kind="stable")
    return {names[index]: int(row[index]) for index in order if row[index]}


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
