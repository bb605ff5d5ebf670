"""Which differences between networks would hold on other images, and for other seeds.

Paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 8, 15): images
are drawn with replacement, the same for every network, so that what makes an image hard cancels
out. With several seeds a network, seeds are drawn with replacement too, independently of the images
and of the other networks, and the score of a draw is the mean over the seeds drawn. Few seeds say
little: with S of them their variance comes out (S - 1) / S of what it is. One seed says nothing of
others; the interval is then over images alone, and that of `evaluation.paired_bootstrap`.

The p-values of all pairs are corrected together (Holm, Scand. J. Statistics 6, 1979): the chance
that any pair is called different though it is not is at most 5 %.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVEL",
    "Comparison",
    "Counts",
    "Difference",
    "compare_scores",
    "draw_scores",
    "holm",
]

Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""(hits, truth, predicted), each (N, K): pixels of each class, a row for each image."""

LEVEL = 0.05
"""Corrected p-values below this are called significant."""

AT_ONCE = 2**22
"""Entries of the matrix of draws that are made at once: 32 MB."""


@dataclass(frozen=True)
class Difference:
    """One pair of networks.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        gain: Mean IoU of the first minus that of the second.
        interval: 95 % interval of the gain.
        p: Two-sided, before correction.
        corrected_p: After Holm's correction over all pairs.
    """

    first: str
    second: str
    gain: float
    interval: tuple[float, float]
    p: float
    corrected_p: float

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below 5 %."""
        return self.corrected_p < LEVEL


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
    runs: Mapping[str, Sequence[Counts]], *, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Return the intervals of all networks and the differences of all pairs.

    Args:
        runs: Name -> counts of its runs, one for each seed; the same N images in the same order.
        resamples: How many times images and seeds are drawn. 10 000 leave room for Holm's factor:
            the smallest p-value is 0.0002.
        seed: Of the draws; the same seed gives the same figures.
    """
    drawn = _drawn(runs, resamples, seed)
    whole = {name: float(np.mean([_score(counts) for counts in runs[name]])) for name in runs}
    pairs = list(itertools.combinations(runs, 2))
    p_values = [_p_value(drawn[a] - drawn[b]) for a, b in pairs]
    differences = tuple(
        Difference(a, b, whole[a] - whole[b], _percentiles(drawn[a] - drawn[b]), p, corrected)
        for (a, b), p, corrected in zip(pairs, p_values, holm(p_values), strict=True)
    )
    return Comparison({name: _percentiles(drawn[name]) for name in runs}, differences)


def draw_scores(counts: Counts, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean IoU of every draw, over the classes that it holds; NaN where it holds none.

    Args:
        counts: Of one run.
        draws: (R, N): how often each image is drawn.
    """
    weights = draws.astype(np.float64)  # exact below 2**53 pixels
    hits, truth, predicted = (weights @ part.astype(np.float64) for part in counts)
    present = truth > 0
    union = truth + predicted - hits
    iou = np.divide(hits, union, out=np.zeros_like(hits), where=present)
    number = present.sum(1).astype(np.float64)
    number[number == 0] = np.nan
    scores: NDArray[np.float64] = iou.sum(1) / number
    return scores


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's corrected p-values, in the order of `p_values`.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _drawn(
    runs: Mapping[str, Sequence[Counts]], resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the score of every network on every draw of images and seeds, (R,)."""
    images = len(next(iter(runs.values()))[0][0])
    scores: dict[str, list[list[NDArray[np.float64]]]] = {
        name: [[] for _ in each] for name, each in runs.items()
    }
    for draws in _draws(images, resamples, seed):
        for name, each in runs.items():
            for number, counts in enumerate(each):
                scores[name][number].append(draw_scores(counts, draws))
    return {
        name: _over_seeds(np.stack([np.concatenate(parts) for parts in each]), (seed, number))
        for number, (name, each) in enumerate(scores.items(), start=1)
    }


def _draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield (r, N) parts of all draws: how often each image is drawn."""
    rng = np.random.default_rng(seed)
    step = max(1, AT_ONCE // images)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        yield rng.multinomial(images, np.full(images, 1 / images), size=count)


def _over_seeds(scores: NDArray[np.float64], seed: tuple[int, int]) -> NDArray[np.float64]:
    """Return the mean of as many runs as there are, drawn anew for every draw of images."""
    number, resamples = scores.shape
    picked = np.random.default_rng(seed).integers(0, number, (number, resamples))  # one: all 0
    mean: NDArray[np.float64] = np.take_along_axis(scores, picked, axis=0).mean(0)
    return mean


def _p_value(gains: NDArray[np.float64]) -> float:
    """Return the two-sided p-value at which the interval of the gain begins to hold 0."""
    known = gains[~np.isnan(gains)]
    tail = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (tail + 1) / (len(known) + 1)))


def _score(counts: Counts) -> float:
    return float(draw_scores(counts, np.ones((1, len(counts[0])), np.int64))[0])


def _percentiles(scores: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(scores[~np.isnan(scores)], [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)
