"""One image through many models, side by side: small pictures as data URIs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.labels import LabelSet
from atrous.reports.pictures import View, uris

__all__ = ["SIDE", "Answer", "Strip", "strip"]

SIDE = 240
"""Longest side of a picture in pixels: enough to see what differs, too few to be the image."""


@dataclass(frozen=True)
class Answer:
    """What one model says of an image.

    Attributes:
        name: Of the model.
        right: Share of the scored pixels that are right.
        prediction: The classes, as a data URI.
        errors: The greyed image with its wrong pixels, as a data URI.
    """

    name: str
    right: float
    prediction: str
    errors: str


@dataclass(frozen=True)
class Strip:
    """One image with its labels and all answers.

    Attributes:
        name: File name of the image.
        disagreement: Share of the scored pixels on which not all models agree.
        size: Height and width of the pictures.
        image: As a data URI.
        label: As a data URI.
        answers: One for each model.
    """

    name: str
    disagreement: float
    size: tuple[int, int]
    image: str
    label: str
    answers: tuple[Answer, ...]


def strip(
    name: str,
    disagreement: float,
    models: Sequence[str],
    views: Sequence[View],
    label_set: LabelSet,
) -> Strip:
    """Shrink the views of one image, one for each model, to thumbnails."""
    answers, image, label, size = [], "", "", (0, 0)
    for model, shown in zip(models, views, strict=True):
        scored = float(shown.scored.sum())
        right = 1 - float(shown.wrong.sum()) / scored if scored else float(np.nan)
        small = shown.shrunk(SIDE)
        image, label, prediction, errors = uris(small, label_set)
        answers.append(Answer(model, right, prediction, errors))
        size = small.size
    return Strip(name, disagreement, size, image, label, tuple(answers))
