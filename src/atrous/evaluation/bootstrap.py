"""How far a score would move on other images of the same kind: percentile bootstrap.

Images, not pixels, are drawn with replacement (pixels of one image are not independent), and the
counts of the drawn images are summed before the score is taken, as for the score itself
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 13).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval", "gain_interval", "mean_interval"]

Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


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
    if len(hits) < 2 or not truth.any():
        return float("nan"), float("nan")
    return _percentiles(_drawn(hits, truth, predicted, resamples, seed), confidence)


def gain_interval(
    before: Counts,
    after: Counts,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of how much the mean IoU rises from `before` to `after`.

    Both are scored on the same drawn images, so what makes an image hard cancels out.

    Args:
        before: (hits, truth, predicted), each (N, K), as for `bootstrap_interval`.
        after: The same images with the other predictions.
        confidence: Share of the resampled gains that the interval holds.
        resamples: How many times N images are drawn.
        seed: Of the draws.

    Returns:
        (low, high), fractions; (NaN, NaN) for fewer than two images or nothing but void.
    """
    if len(before[0]) < 2 or not before[1].any():
        return float("nan"), float("nan")
    first, second = (_drawn(*counts, resamples, seed) for counts in (before, after))
    return _percentiles(second - first, confidence)


def mean_interval(
    values: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of the mean of one value per image, (NaN, NaN) for fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    draws = _draws(len(values), resamples, seed)
    return _percentiles(draws @ values / len(values), confidence)


def _drawn(
    hits: NDArray[np.int64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the mean IoU of each draw of images that has a true pixel; NaN for the others."""
    draws = _draws(len(hits), resamples, seed)
    union = truth + predicted - hits
    # One product for all sums; float64 holds counts below 2**53 exactly.
    drawn_hits, drawn_truth, drawn_union = (
        draws @ counts.astype(np.float64) for counts in (hits, truth, union)
    )
    present = drawn_truth > 0  # (R, K)
    iou = np.divide(drawn_hits, drawn_union, out=np.zeros_like(drawn_hits), where=present)
    number = present.sum(1).astype(np.float64)
    number[number == 0] = np.nan
    scores: NDArray[np.float64] = iou.sum(1) / number
    return scores


def _draws(count: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return (R, N): how often each image is drawn."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn.astype(np.float64)


def _percentiles(scores: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores[~np.isnan(scores)], [tail, 1 - tail])
    return float(low), float(high)
