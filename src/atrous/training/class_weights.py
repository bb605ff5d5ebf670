"""How much a pixel of each class counts in the loss, from how often the class occurs."""

import math
import statistics
from collections.abc import Callable
from typing import Literal

from atrous.data import SplitStatistics

__all__ = ["ClassWeighting", "class_weights"]

ClassWeighting = Literal["none", "median_frequency", "inverse", "enet"]


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
