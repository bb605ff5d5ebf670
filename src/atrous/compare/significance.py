"""Which differences between networks would hold on other images, and for other seeds.

Paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 8, 15): images
are drawn with replacement, the same for every network, so that what makes an image hard cancels
out. With one seed a network that is all, the percentile interval and p-value are those of
`evaluation.paired_bootstrap`, and they speak of these trainings, not of others. Below ten images
such draws promise far too much: there is then no p-value (NaN), and no difference is significant.

With several seeds a score is the mean over them, and seeds are not drawn: two or three that are
drawn anew call one equal pair in five different. The variance of a difference is instead a sum,

    V = V_images + s_a^2 / S_a + s_b^2 / S_b,

V_images of the difference of the seed means over the draws of N images, times N / (N - 1), and s^2
the variance between the S seeds of a network. The difference over sqrt(V) is held against Student's
t with the degrees of freedom of Welch and Satterthwaite (Satterthwaite, Biometrics Bulletin 2,
1946; Welch, Biometrika 34, 1947), N - 1 for the first part and S - 1 for each of the others. A
network with one seed has no s: what is said is said of that training.

The p-values of all pairs are corrected together (Holm, Scand. J. Statistics 6, 1979): the chance
that any pair is called different though it is not is at most 5 %. Pairs without one do not count.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from atrous.evaluation.bootstrap import (
    Counts,
    drawn_figures,
    mean_iou_of,
    p_value,
    percentiles,
)

__all__ = [
    "LEVEL",
    "Comparison",
    "Difference",
    "compare_scores",
    "enough_draws",
    "holm",
]

LEVEL = 0.05
"""Corrected p-values below this are called significant."""

LEAST_GAIN = 0.003
"""A difference of mean IoU below this is no win, however sure: nobody would see it."""

FEWEST_DRAWS, DRAWS_A_PAIR = 10_000, 100
"""Draws of images: at least so many in all, and so many for each pair."""

FEWEST_IMAGES = 10
"""With fewer, draws of images alone give no p-value."""


@dataclass(frozen=True)
class Difference:
    """One pair of networks.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        gain: Mean IoU of the first minus that of the second.
        interval: 95 % interval of the gain.
        p: Two-sided, before correction; NaN for too few images.
        corrected_p: After Holm's correction over all pairs; NaN with `p`.
    """

    first: str
    second: str
    gain: float
    interval: tuple[float, float]
    p: float
    corrected_p: float

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below 5 %; never without one."""
        return self.corrected_p < LEVEL

    @property
    def is_win(self) -> bool:
        """Whether the difference is significant and large enough to tell of."""
        return self.is_significant and abs(self.gain) >= LEAST_GAIN


@dataclass(frozen=True)
class Comparison:
    """What the draws say.

    Attributes:
        intervals: 95 % interval of the mean IoU of every network.
        differences: Every pair, in the order of the networks.
    """

    intervals: Mapping[str, tuple[float, float]]
    differences: tuple[Difference, ...]


def compare_scores(
    runs: Mapping[str, Sequence[Counts]], *, resamples: int | None = None, seed: int = 0
) -> Comparison:
    """Return the intervals of all networks and the differences of all pairs.

    Args:
        runs: Name -> counts of its runs, one for each seed; the same N images in the same order.
        resamples: How many times images are drawn; None takes `enough_draws`.
        seed: Of the draws; the same seed gives the same figures.
    """
    statistics = {name: np.stack([np.stack(each, 1) for each in runs[name]], 1) for name in runs}
    pairs = list(itertools.combinations(runs, 2))
    drawn = _drawn(statistics, resamples or enough_draws(len(pairs)), seed)
    images = len(next(iter(statistics.values())))
    scores = {name: mean_iou_of(each.sum(0)).tolist() for name, each in statistics.items()}
    whole = {name: float(np.mean(scores[name])) for name in runs}
    judged = [
        _judge(drawn[a] - drawn[b], whole[a] - whole[b], [scores[a], scores[b]], images)
        for a, b in pairs
    ]
    differences = tuple(
        Difference(a, b, whole[a] - whole[b], interval, p, corrected)
        for (a, b), (interval, p), corrected in zip(
            pairs, judged, holm([p for _, p in judged]), strict=True
        )
    )
    intervals = {n: _judge(drawn[n], whole[n], [scores[n]], images)[0] for n in runs}
    return Comparison({n: _fraction(each) for n, each in intervals.items()}, differences)


def enough_draws(pairs: int) -> int:
    """Return how often to draw images, so that Holm's factor leaves room for a significant pair.

    The smallest p-value of R draws is 2 / (R + 1): corrected over all pairs it is then below 0.02.
    """
    return max(FEWEST_DRAWS, DRAWS_A_PAIR * pairs)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's corrected p-values, in the order of `p_values`; NaN is none and stays NaN.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    known = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    order = sorted(known, key=lambda index: p_values[index])
    corrected, least = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(known) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _drawn(
    statistics: Mapping[str, NDArray[np.int64]], resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the mean over its seeds of every network on every draw of images, (R,).

    Args:
        statistics: Name -> (N, S, 3, K): the counts of its S seeds.
        resamples: R.
        seed: Of the draws, which are the same for all networks.
    """
    together = np.concatenate(list(statistics.values()), axis=1)  # one product for all of them
    scores = drawn_figures(together, mean_iou_of, resamples=resamples, seed=seed)
    ends = np.cumsum([each.shape[1] for each in statistics.values()])[:-1]
    parts = np.split(scores, ends, axis=1)
    return {name: part.mean(1) for name, part in zip(statistics, parts, strict=True)}


def _judge(
    drawn: NDArray[np.float64], value: float, scores: Sequence[Sequence[float]], images: int
) -> tuple[tuple[float, float], float]:
    """Return the interval of a mean over seeds, or of a difference of two, and its p-value.

    Args:
        drawn: (R,) what it is on every draw of images.
        value: What it is.
        scores: Of the seeds of each network that has a part in it.
        images: How many there are.
    """
    if all(len(each) == 1 for each in scores):
        low, high = (float(bound) for bound in percentiles(drawn, 1 - LEVEL))
        return (low, high), p_value(drawn) if images >= FEWEST_IMAGES else math.nan
    parts = [(float(np.nanvar(drawn)) * images / max(images - 1, 1), max(images - 1, 1))]
    parts += [
        (float(np.var(each, ddof=1)) / len(each), len(each) - 1) for each in scores if len(each) > 1
    ]
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return (value, value), float(abs(value) < 1e-12)  # of one answer, up to rounding
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    error = math.sqrt(variance)
    reach = float(special.stdtrit(freedom, 1 - LEVEL / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(value) / error))
    return (value - reach, value + reach), p


def _fraction(interval: tuple[float, float]) -> tuple[float, float]:
    """Keep the interval of a score within 0 and 1, which Student's t knows nothing of."""
    return max(interval[0], 0.0), min(interval[1], 1.0)
