"""The class table, a row each: how well it is found, how common it is, what it is taken for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.scores import class_accuracy, intersection_over_union
from atrous.labels import LabelSet
from atrous.reports.chart import sparkline

__all__ = ["ClassRow", "Mistake", "class_rows", "css_colour", "largest_mistakes"]


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that were predicted as another.

    Attributes:
        truth: Index of the class in the labels.
        predicted: Index of the class in the predictions.
        pixels: How many.
        of_class: The same as a fraction of the true class.
        of_errors: The same as a fraction of all wrong pixels.
    """

    truth: int
    predicted: int
    pixels: int
    of_class: float
    of_errors: float


@dataclass(frozen=True)
class ClassRow:
    """One class; every figure but `predicted` is nan when the class never occurs.

    Attributes:
        index: Its label.
        iou: Intersection over union.
        accuracy: Fraction of its pixels that were found.
        share: Fraction of the scored pixels that it covers.
        predicted: Fraction of the scored pixels that were predicted as it.
        mistake: What it is mostly taken for, or None if all of it was found.
        course: SVG path of its IoU over the validations of the run.
    """

    index: int
    name: str
    colour: str
    iou: float
    accuracy: float
    share: float
    predicted: float
    mistake: Mistake | None
    course: str

    @property
    def occurs(self) -> bool:
        """Whether the labels hold the class at all."""
        return math.isfinite(self.iou)


def class_rows(
    matrix: NDArray[np.int64], label_set: LabelSet, history: Sequence[Sequence[float]] = ()
) -> list[ClassRow]:
    """Return one row a class, the best first, those that never occur last.

    Args:
        matrix: (K, K) pixel counts; rows are true labels, columns predictions.
        label_set: Names and colours of the K classes.
        history: IoU of every class, one sequence a validation; others than K long are left out.
    """
    truth, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    whole = max(int(matrix.sum()), 1)
    iou, accuracy = intersection_over_union(matrix), class_accuracy(matrix)
    mistakes = {m.truth: m for m in reversed(largest_mistakes(matrix, count=matrix.size))}
    courses = [entry for entry in history if len(entry) == len(label_set)]
    rows = [
        ClassRow(
            index=k,
            name=name,
            colour=css_colour(label_set.colours[k]),
            iou=float(iou[k]),
            accuracy=float(accuracy[k]),
            share=float(truth[k] / whole) if truth[k] else math.nan,
            predicted=float(predicted[k] / whole),
            mistake=mistakes.get(k),
            course=sparkline([entry[k] for entry in courses]),
        )
        for k, name in enumerate(label_set.names)
    ]
    return sorted(rows, key=lambda row: (not row.occurs, -row.iou if row.occurs else row.index))


def largest_mistakes(matrix: NDArray[np.int64], *, count: int) -> list[Mistake]:
    """Return at most `count` pairs of classes, those that cost most pixels first."""
    wrong = matrix.astype(np.int64) * (1 - np.eye(len(matrix), dtype=np.int64))
    truth = matrix.sum(axis=1)
    errors = int(wrong.sum())
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:count]
    pairs = ((int(i), int(j)) for i, j in (divmod(int(at), len(matrix)) for at in order))
    return [
        Mistake(i, j, int(wrong[i, j]), float(wrong[i, j] / truth[i]), float(wrong[i, j] / errors))
        for i, j in pairs
        if wrong[i, j]
    ]


def css_colour(colour: tuple[int, int, int]) -> str:
    """Return an RGB colour as CSS writes it: (128, 0, 0) -> "#800000"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
