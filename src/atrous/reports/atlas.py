"""The worst confusions as pictures: for each, the largest patch of it in all images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from atrous.data import DataSpec, Pair
from atrous.evaluation import Evaluation
from atrous.reports.class_rows import Mistake, largest_mistakes
from atrous.reports.pictures import uris, view

__all__ = ["Patch", "worst_patches"]

SIDE = 300
"""Longest side of a picture in pixels."""

MARGIN = 0.5
"""Of the patch's size, shown around it on every side."""

SMALLEST = 96
"""A picture shows at least so many pixels of the image a side."""

NARROWEST = 0.6
"""Its shorter side over its longer one, where the image allows."""


@dataclass(frozen=True)
class Patch:
    """A piece of an image where one class was taken for another.

    Attributes:
        mistake: The pair of classes, and what it costs in the whole split.
        name: File name of the image.
        pixels: Of the patch: connected, of one true class, all predicted as the other.
        size: Height and width of the pictures.
    """

    mistake: Mistake
    name: str
    pixels: int
    size: tuple[int, int]
    image: str
    label: str
    prediction: str
    errors: str


def worst_patches(
    evaluation: Evaluation,
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
    *,
    split: str,
    count: int = 5,
) -> list[Patch]:
    """Picture the costliest confusions, each in the image that holds most of it.

    Args:
        evaluation: Made with details, which remember the largest mistakes of each image.
        spec: Where images and labels are read.
        predict: Gives the evaluated label map of a pair again.
        split: The split that was evaluated.
        count: At most so many.
    """
    pairs = {pair.image: pair for pair in spec.splits.get(split, ())}
    found = []
    for mistake in largest_mistakes(evaluation.matrix, count=count):
        path = _image_with_most(evaluation, mistake)
        if path is not None and path in pairs:
            found.append(_patch(mistake, pairs, path, spec, predict))
    return found


def _image_with_most(evaluation: Evaluation, mistake: Mistake) -> Path | None:
    wanted = (mistake.truth, mistake.predicted)
    most, path = 0, None
    for image in evaluation.per_image:
        for true, predicted, pixels in image.details.mistakes if image.details else ():
            if (true, predicted) == wanted and pixels > most:
                most, path = pixels, image.path
    return path


def _patch(
    mistake: Mistake,
    pairs: Mapping[Path, Pair],
    path: Path,
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
) -> Patch:
    pair = pairs[path]
    labels, predictions = spec.read_labels(pair), predict(pair)
    taken = (labels == mistake.truth) & (predictions == mistake.predicted)
    _, _, stats, _ = cv2.connectedComponentsWithStats(taken.astype(np.uint8), connectivity=8)
    left, top, width, height, pixels = (int(x) for x in stats[1 + stats[1:, 4].argmax()])
    window = _window((top, left), (height, width), labels.shape)
    shown = view(
        spec.read_image(pair)[window],
        labels[window],
        predictions[window],
        spec.label_set.ignore_index,
    ).shrunk(SIDE)
    return Patch(mistake, path.name, pixels, shown.size, *uris(shown, spec.label_set))


def _window(
    start: tuple[int, int], size: tuple[int, int], limits: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return rows and columns around a patch, within the image and not too far from a square."""
    wanted = [max(SMALLEST, round(side * (1 + 2 * MARGIN))) for side in size]
    wanted = [max(side, round(max(wanted) * NARROWEST)) for side in wanted]
    rows, columns = (
        _around(begin + side // 2, length, limit)
        for begin, side, length, limit in zip(start, size, wanted, limits, strict=True)
    )
    return rows, columns


def _around(middle: int, length: int, limit: int) -> slice:
    """Return `length` pixels around another, moved or cut to lie within 0..limit."""
    length = min(length, limit)
    begin = min(max(0, middle - length // 2), limit - length)
    return slice(begin, begin + length)
