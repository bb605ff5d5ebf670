"""How much a pixel of each class counts in the loss, from how often the class occurs."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from atrous.data import SplitStatistics

__all__ = ["ClassWeighting", "class_weights", "weights_notes"]

ClassWeighting = Literal["none", "median_frequency", "inverse", "enet"]

LARGE = 100.0
"""Weights above are warned of: a crop with some such pixels is a step for them alone."""


def class_weights(kind: ClassWeighting, split: SplitStatistics) -> tuple[float, ...] | None:
    """Return a weight for each class; None where all count the same.

    - median_frequency: median of the frequencies / frequency, where a frequency is the share of a
      class in the images that show it (Eigen, Fergus, ICCV 2015, Sec. 6.3.2; SegNet's).
    - inverse: 1 / share of the class, scaled so that the average pixel has weight 1.
    - enet: 1 / ln(1.02 + share), between 1.4 and 50.5 (Paszke et al., ENet, 2016, Sec. 5.2).

    Args:
        kind: The rule.
        split: Counts of the training split. A class that never occurs has weight 1: no pixel asks.
    """
    if kind == "none":
        return None
    weights = _RULES[kind](split)
    return tuple(
        weight if count else 1.0 for weight, count in zip(weights, split.pixels, strict=True)
    )


def weights_notes(
    kind: ClassWeighting,
    weights: Sequence[float] | None,
    split: SplitStatistics,
    names: Sequence[str],
) -> list[str]:
    """Return a line of the plan about weights, if there are any.

    Args:
        kind: The rule.
        weights: Its `class_weights`.
        split: Counts of the training split; classes that never occur are not told of.
        names: Of the classes.
    """
    if weights is None:
        return []
    rows = zip(weights, names, split.pixels, strict=True)
    occurring = [(weight, name) for weight, name, count in rows if count]
    (least, frequent), (most, rare) = min(occurring), max(occurring)
    line = (
        f"Weights  {kind}: a pixel of {frequent} counts least, {least:.3g}, "
        f"of {rare} most, {most:.3g}"
    )
    if most <= LARGE:
        return [line]
    return [
        f"{line}; a few pixels may rule whole steps; milder: --class-weights enet, or "
        "--sampling class_balanced"
    ]


def _median_frequency(split: SplitStatistics) -> list[float]:
    pairs = zip(split.pixels, split.area_with, strict=True)
    frequencies = [count / max(area, 1) for count, area in pairs]
    median = statistics.median(frequency for frequency in frequencies if frequency)
    return [median / frequency if frequency else 1.0 for frequency in frequencies]


def _inverse(split: SplitStatistics) -> list[float]:
    present = sum(count > 0 for count in split.pixels)
    return [1 / (present * share) if share else 1.0 for share in split.shares]


def _enet(split: SplitStatistics) -> list[float]:
    return [1 / math.log(1.02 + share) for share in split.shares]


_RULES: dict[str, Callable[[SplitStatistics], list[float]]] = {
    "median_frequency": _median_frequency,
    "inverse": _inverse,
    "enet": _enet,
}
