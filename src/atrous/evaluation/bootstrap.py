"""How far a score would move on other images of the same kind: percentile bootstrap.

Images, not pixels, are drawn with replacement (pixels of one image are not independent), and the
counts of the drawn images are summed before the score is taken, as for the score itself
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 13). Two models are compared on
the same draws, so what makes an image hard cancels out (Ch. 15, achieved significance level).

A class that few images show is in none of some draws (one in k images: about exp(-k) of them). The
mean of such a draw runs over the other classes, so the interval is in part that of another figure,
and may even leave the observed one out.

Frames of one film are not independent either: over them every interval is too narrow.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.evaluation.scores import MEAN_FIGURES

__all__ = [
    "Counts",
    "Difference",
    "bootstrap_interval",
    "drawn_figures",
    "gain_interval",
    "intervals",
    "mean_interval",
    "mean_iou_of",
    "p_value",
    "paired_bootstrap",
    "paired_difference",
    "percentiles",
]

Floats = NDArray[np.float64]
Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""(hits, truth, predicted), each (N, K): one row per image."""

Figure = Callable[[Floats], Floats]
"""Maps sums over images (R, ...) to a figure, or several, of each: (R,) or (R, F)."""

BLOCK = 1000
"""Draws taken at once; bounds the memory."""


@dataclass(frozen=True)
class Difference:
    """How much better the second of two models is, on the same images.

    Attributes:
        value: Score of the second minus score of the first.
        interval: Of that difference; (NaN, NaN) for fewer than two images.
        p_value: Two-sided: how likely draws on the far side of 0 are. It lies below 0.05 where the
            95 % interval leaves 0 out. Never below 2 / (resamples + 1); NaN with the interval.
    """

    value: float
    interval: tuple[float, float]
    p_value: float


def paired_bootstrap(
    first: Counts,
    second: Counts,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Return by how much the mean IoU of `second` exceeds that of `first`.

    Args:
        first: (hits, truth, predicted) of one model, each (N, K), as for `bootstrap_interval`.
        second: The same images, in the same order, with the other model's predictions.
        confidence: Share of the resampled differences that the interval holds.
        resamples: How many times N images are drawn. Many, since p values of several pairs are
            corrected: Holm's first threshold for 45 pairs is 0.0011.
        seed: Of the draws.

    Raises:
        InputError: The true pixels differ: those are not the same images.

    Example:
        >>> truth = np.array([[90, 10], [80, 20], [70, 30]])
        >>> worse, better = (truth // 2, truth, truth // 2), (truth, truth, truth)
        >>> paired_bootstrap(worse, better).value
        0.5
    """
    if not np.array_equal(first[1], second[1]):
        raise InputError(
            "the two were not scored on the same images: their true pixels differ; "
            "evaluate both on one split of one data set"
        )
    return paired_difference(
        np.stack(first, 1),
        np.stack(second, 1),
        mean_iou_of,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def paired_difference(
    first: NDArray[np.int64] | Floats,
    second: NDArray[np.int64] | Floats,
    figure: Figure,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Return by how much any figure of `second` exceeds that of `first`, both (N, ...)."""
    observed = float((figure(_sum(second)) - figure(_sum(first)))[0])
    if len(first) < 2:
        return Difference(observed, (np.nan, np.nan), np.nan)
    blocks = zip(
        _resampled(first, figure, resamples, seed),
        _resampled(second, figure, resamples, seed),
        strict=True,
    )
    drawn = np.concatenate([after - before for before, after in blocks])
    low, high = (float(bound) for bound in percentiles(drawn, confidence))
    return Difference(observed, (low, high), p_value(drawn))


def bootstrap_interval(
    hits: NDArray[np.int64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of the mean IoU.

    Args:
        hits: (N, K) pixels of each class with the right label, one row per image.
        truth: (N, K) pixels of each class.
        predicted: (N, K) pixels labelled as each class.
        confidence: Share of the resampled scores that the interval holds.
        resamples: How many times N images are drawn.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        (low, high), fractions; (NaN, NaN) for fewer than two images or nothing but void.
    """
    low, high = intervals(
        np.stack([hits, truth, predicted], 1),
        mean_iou_of,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    return float(low), float(high)


def intervals(
    statistics: NDArray[np.int64] | Floats,
    figure: Figure,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """Return the intervals of figures that are functions of sums over images.

    Args:
        statistics: (N, ...) what each image adds to the sums.
        figure: Maps sums (R, ...) to figures (R,) or (R, F); NaN where one has no value (its
            class is in none of the drawn images): those draws are left out.
        confidence: Share of the resampled figures that an interval holds.
        resamples: How many times N images are drawn.
        seed: Of the draws.

    Returns:
        (2,) or (2, F): low and high; NaN for fewer than two images, or without any value.
    """
    if len(statistics) < 2:
        shape = figure(_sum(statistics)).shape[1:]
        return np.full((2, *shape), np.nan)
    drawn = drawn_figures(statistics, figure, resamples=resamples, seed=seed)
    return percentiles(drawn, confidence)


def gain_interval(
    before: Counts,
    after: Counts,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of how much the mean IoU rises; see `paired_bootstrap`."""
    return paired_bootstrap(
        before, after, confidence=confidence, resamples=resamples, seed=seed
    ).interval


def mean_interval(
    values: Floats,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of the mean of one value per image, (NaN, NaN) for fewer than two."""
    count = max(len(values), 1)
    low, high = intervals(
        values, lambda sums: sums / count, confidence=confidence, resamples=resamples, seed=seed
    )
    return float(low), float(high)


def drawn_figures(
    statistics: NDArray[np.int64] | Floats, figure: Figure, *, resamples: int, seed: int
) -> Floats:
    """Return a figure of every draw of N images, (R,) or (R, F).

    The same N, `resamples` and `seed` are the same draws, so figures of two models are paired.

    Args:
        statistics: (N, ...) what each image adds to the sums.
        figure: Maps sums (R, ...) to figures.
        resamples: R, how many times N images are drawn.
        seed: Of the draws.
    """
    return np.concatenate(list(_resampled(statistics, figure, resamples, seed)))


def mean_iou_of(sums: Floats) -> Floats:
    """Return the mean IoU of sums (..., 3, K): (...,); NaN where no pixel is scored."""
    return MEAN_FIGURES["mean_iou"](sums, np.ones(sums.shape[-1], bool))


def percentiles(drawn: Floats, confidence: float) -> Floats:
    """Return (2, ...): the bounds of each column of draws (R, ...), those without value aside."""
    tail = (1 - confidence) / 2
    known = ~np.isnan(drawn)
    if known.all():
        bounds: Floats = np.quantile(drawn, [tail, 1 - tail], axis=0)
        return bounds
    columns = drawn.reshape(len(drawn), -1).T
    found = np.full((2, len(columns)), np.nan)
    for index, column in enumerate(columns):
        values = column[~np.isnan(column)]
        if values.size:
            found[:, index] = np.quantile(values, [tail, 1 - tail])
    return found.reshape(2, *drawn.shape[1:])


def p_value(drawn: Floats) -> float:
    """Return twice the smaller share of draws (R,) of a difference beyond 0; NaN without any.

    The observed one is counted among them, so it is never below 2 / (R + 1).

    Example:
        >>> p_value(np.array([0.1, 0.2, 0.3]))
        0.5
    """
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return float("nan")
    beyond = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (beyond + 1) / (known.size + 1)))


def _resampled(
    statistics: NDArray[np.int64] | Floats, figure: Figure, resamples: int, seed: int
) -> Iterator[Floats]:
    """Yield the figures of draws of N images, a block of draws at a time."""
    count = len(statistics)
    # One product for all sums; float64 holds counts below 2**53 exactly.
    flat = statistics.reshape(count, -1).astype(np.float64)
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        draws = rng.multinomial(count, np.full(count, 1 / count), size=size)  # how often each
        yield figure((draws.astype(np.float64) @ flat).reshape(size, *statistics.shape[1:]))


def _sum(statistics: NDArray[np.int64] | Floats) -> Floats:
    total: Floats = statistics.sum(0, keepdims=True).astype(np.float64)
    return total
