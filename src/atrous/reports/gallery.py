"""Best and worst images of an evaluation: which they are, and what they cost and show."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from atrous.data import DataSpec, Pair
from atrous.data.warp import channel_groups, joined
from atrous.evaluation import Evaluation, ImageScore, confusion_matrix
from atrous.labels import LabelSet
from atrous.reports.class_rows import Mistake, largest_mistakes
from atrous.reports.pictures import View, uris, view

__all__ = ["Exhibit", "best_and_worst", "worst_images"]

SIDES = (560, 400, 280, 190, 120)
"""Longest sides to try, in pixels, until the pictures of a report fit into its budget."""

ALIKE = 0.9
"""Two images whose 16 x 16 grey pictures correlate as much show the same place."""

LOOKS = 20
"""How many images are read in search of different ones."""


@dataclass(frozen=True)
class Exhibit:
    """One image with its four pictures as data URIs.

    Attributes:
        name: File name of the image.
        mean_iou: Its own mIoU, over the `num_classes` classes that its label holds.
        pixel_accuracy: Fraction of its scored pixels that are right.
        mistake: What cost it most pixels, or None if nothing did.
        size: Height and width of the pictures.
    """

    name: str
    mean_iou: float
    num_classes: int
    pixel_accuracy: float
    mistake: Mistake | None
    size: tuple[int, int]
    image: str
    label: str
    prediction: str
    errors: str

    @property
    def weight(self) -> int:
        """Bytes that the pictures take on the page."""
        return len(self.image) + len(self.label) + len(self.prediction) + len(self.errors)


def best_and_worst(
    evaluation: Evaluation,
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
    *,
    split: str,
    each: int = 3,
    budget: int = 1_200_000,
) -> tuple[list[Exhibit], list[Exhibit]]:
    """Predict the best and the worst images once more and picture them.

    Args:
        evaluation: Names the images by their own mIoU.
        spec: Where they and their labels are read.
        predict: Gives the evaluated label map of a pair again.
        split: The split that was evaluated.
        each: At most so many of either; no image is in both, and an image that looks like one
            before it (the next frame of a film) is passed over.
        budget: Bytes that all pictures may take; they are made smaller until they fit.

    Returns:
        The best, best first, and the worst, worst first.
    """
    pairs = _pairs(spec, split)
    ranked = _ranked(evaluation, pairs)
    half = math.ceil(len(ranked) / 2)
    best, worst = (
        _distinct(scores, pairs, spec, most=each) for scores in (ranked[:half], ranked[half:][::-1])
    )
    exhibits = _exhibits([*best, *worst], pairs, spec, predict, evaluation.label_set, budget)
    return exhibits[: len(best)], exhibits[len(best) :]


def worst_images(
    evaluation: Evaluation,
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
    *,
    split: str,
    most: int,
    budget: int = 1_200_000,
) -> list[Exhibit]:
    """Return the `most` worst images of all, worst first; else as `best_and_worst`."""
    pairs = _pairs(spec, split)
    worst = _distinct(_ranked(evaluation, pairs)[::-1], pairs, spec, most=most)
    return _exhibits(worst, pairs, spec, predict, evaluation.label_set, budget)


def _pairs(spec: DataSpec, split: str) -> dict[Path, Pair]:
    return {pair.image: pair for pair in spec.splits.get(split, ())}


def _ranked(evaluation: Evaluation, pairs: Mapping[Path, Pair]) -> list[ImageScore]:
    """Return the images that have a score and can be read again, best first."""
    scored = [x for x in evaluation.per_image if math.isfinite(x.mean_iou) and x.path in pairs]
    return sorted(scored, key=lambda score: -score.mean_iou)


def _exhibits(
    scores: Sequence[ImageScore],
    pairs: Mapping[Path, Pair],
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
    label_set: LabelSet,
    budget: int,
) -> list[Exhibit]:
    """Return the images with their pictures, as large as all of them fit into the budget."""
    # As small as they may be needed at once: six photos of 50 megapixels would fill the memory.
    views = [(score, *_predicted(pairs[score.path], spec, predict, label_set)) for score in scores]
    exhibits: list[Exhibit] = []
    for side in SIDES:
        exhibits = [
            _exhibit(score, mistake, shown.shrunk(side), spec.label_set)
            for score, mistake, shown in views
        ]
        if sum(exhibit.weight for exhibit in exhibits) <= budget:
            break
    return exhibits


def _distinct(
    scores: Sequence[ImageScore], pairs: Mapping[Path, Pair], spec: DataSpec, *, most: int
) -> list[ImageScore]:
    """Return the first `most` images that do not look alike; reads at most `LOOKS` of them."""
    chosen: list[ImageScore] = []
    looks: list[np.ndarray] = []
    for score in scores[:LOOKS]:
        look = _look(spec.read_image(pairs[score.path]))
        if all(float(look @ other) < ALIKE for other in looks):
            chosen.append(score)
            looks.append(look)
        if len(chosen) == most:
            break
    return chosen


def _look(image: np.ndarray) -> np.ndarray:
    """Return 16 x 16 grey values as a vector of mean 0 and length 1 (0 for an even image)."""
    # Shrunk first: the mean of a whole image of 268 megapixels takes a gigabyte.
    groups = channel_groups(image)
    small = joined([cv2.resize(each, (16, 16), interpolation=cv2.INTER_AREA) for each in groups])
    grey = small.mean(axis=2, dtype=np.float32)
    centred = grey.ravel() - grey.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6))


def _predicted(
    pair: Pair,
    spec: DataSpec,
    predict: Callable[[Pair], np.ndarray],
    label_set: LabelSet,
) -> tuple[Mistake | None, View]:
    """Return the costliest mistake in an image, and its view at the largest size to be shown."""
    image, labels = spec.read_image(pair), spec.read_labels(pair)
    predictions, void = predict(pair), label_set.ignore_index
    matrix = confusion_matrix(predictions, labels, len(label_set), void)
    mistake = next(iter(largest_mistakes(matrix, count=1)), None)
    return mistake, view(image, labels, predictions, void).shrunk(SIDES[0])


def _exhibit(
    score: ImageScore, mistake: Mistake | None, shown: View, label_set: LabelSet
) -> Exhibit:
    image, label, prediction, errors = uris(shown, label_set)
    return Exhibit(
        name=score.path.name,
        mean_iou=score.mean_iou,
        num_classes=int(np.count_nonzero(score.truth)),
        pixel_accuracy=score.pixel_accuracy,
        mistake=mistake,
        size=shown.size,
        image=image,
        label=label,
        prediction=prediction,
        errors=errors,
    )
