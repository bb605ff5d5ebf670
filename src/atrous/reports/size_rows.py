"""Objects by their size, as a page shows them: how many are found, and what they are taken for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atrous.evaluation import Evaluation
from atrous.evaluation.object_sizes import SIZES
from atrous.reports.class_rows import Mistake, largest_mistakes

__all__ = ["ClassSize", "class_sizes", "worst_confusions"]

MOST = 2
"""Wrong answers that are shown of a class and size."""

LEAST = 0.01
"""Of the pixels; rarer answers are not worth a line."""


@dataclass(frozen=True)
class ClassSize:
    """One class at one size.

    Attributes:
        row: That of `Evaluation.object_sizes_by_class`.
        mistakes: What its pixels are taken for most, the largest first; each `of_class` is a share
            of the pixels of these objects.
    """

    row: Mapping[str, object]
    mistakes: tuple[Mistake, ...]


def class_sizes(evaluation: Evaluation) -> dict[str, dict[str, ClassSize]]:
    """Return class -> size -> what is shown of it; pairs without an object are left out."""
    index = {name: k for k, name in enumerate(evaluation.label_set.names)}
    mistakes: dict[tuple[str, int], list[Mistake]] = {}
    for (size, _), matrix in zip(SIZES, evaluation.size_matrices, strict=True):
        for mistake in largest_mistakes(matrix, count=matrix.size):
            mistakes.setdefault((size, mistake.truth), []).append(mistake)
    table: dict[str, dict[str, ClassSize]] = {}
    for row in evaluation.object_sizes_by_class:
        name, size = str(row["class"]), str(row["size"])
        largest = mistakes.get((size, index[name]), [])[:MOST]
        shown = tuple(mistake for mistake in largest if mistake.of_class >= LEAST)
        table.setdefault(name, {})[size] = ClassSize(row, shown)
    return table


def worst_confusions(evaluation: Evaluation) -> dict[str, Mistake]:
    """Return size -> the confusion that costs its objects of the scored classes most pixels."""
    matrices = np.where(evaluation.kept[:, None], evaluation.size_matrices, 0)
    found = {}
    for (size, _), matrix in zip(SIZES, matrices, strict=True):
        for mistake in largest_mistakes(matrix, count=1):
            found[size] = mistake
    return found
