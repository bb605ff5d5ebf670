"""The confusion matrix as a table of shades: every row adds up to the pixels of one true class."""

from dataclasses import dataclass

import numpy as np

from atrous.labels import LabelSet

__all__ = ["MOST_CLASSES", "Cell", "HeatMap", "heat_map"]

MOST_CLASSES = 32
"""More rows than this are no longer readable; the commonest classes are shown."""

MOST_NUMBERS = 14
"""Up to this many classes there is room for a number in every cell."""


@dataclass(frozen=True)
class Cell:
    """One cell: a fraction of its row, shown as a shade and, where there is room, as a number.

    Attributes:
        kind: "right" on the diagonal, "wrong" beside it, "none" in a row without pixels.
        shade: Opacity of the cell's colour, 0..1: the square root of the fraction.
        text: The fraction in percent, "" where there is no room or nothing to say.
        title: The cell as a sentence.
    """

    kind: str
    shade: float
    text: str
    title: str


@dataclass(frozen=True)
class HeatMap:
    """Rows are true classes, columns predicted ones, in the order of `classes`.

    Attributes:
        classes: The labels that are shown.
        left_out: How many classes are not shown.
        numbers: Whether the cells hold numbers.
    """

    classes: tuple[int, ...]
    cells: tuple[tuple[Cell, ...], ...]
    left_out: int
    numbers: bool


def heat_map(matrix: np.ndarray, label_set: LabelSet) -> HeatMap:
    """Normalise `matrix` (K, K; rows are true labels) by row and lay it out.

    Of more than `MOST_CLASSES` classes those with most true or predicted pixels are shown.
    """
    count = len(label_set)
    weight = matrix.sum(axis=1) + matrix.sum(axis=0)
    commonest = np.argsort(-weight, kind="stable")[:MOST_CLASSES]
    classes = tuple(sorted(int(k) for k in commonest))
    numbers = len(classes) <= MOST_NUMBERS
    cells = tuple(
        tuple(_cell(matrix, label_set, i, j, numbers=numbers) for j in classes) for i in classes
    )
    return HeatMap(classes, cells, count - len(classes), numbers)


def _cell(matrix: np.ndarray, label_set: LabelSet, i: int, j: int, *, numbers: bool) -> Cell:
    true, predicted = label_set.names[i], label_set.names[j]
    pixels, row = int(matrix[i, j]), int(matrix[i].sum())
    if row == 0:
        return Cell("none", 0.0, "", f"{true} never occurs")
    share = pixels / row
    title = f"{true} predicted as {predicted}: {100 * share:.2f} % ({pixels:,} of {row:,} pixels)"
    kind = "right" if i == j else "wrong"
    return Cell(kind, round(share**0.5, 3), _percent(share) if numbers else "", title)


def _percent(share: float) -> str:
    """Return 0.314 as "31", what rounds to nothing as "" and what is not quite all as "99".

    Example:
        >>> [_percent(x) for x in (1.0, 0.9999, 0.314, 0.002)]
        ['100', '99', '31', '']
    """
    percent = round(100 * share)
    if percent == 100 and share < 1:
        return "99"
    return str(percent) if percent else ""
