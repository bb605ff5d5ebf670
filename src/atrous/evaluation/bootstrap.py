"""How far a score would move on other images of the same kind: percentile bootstrap.

Images, not pixels, are drawn with replacement (pixels of one image are not independent), and the
counts of the drawn images are summed before the score is taken, as for the score itself
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 13).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval"]


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
    count = len(hits)
    union = truth + predicted - hits
    if count < 2 or not truth.any():
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)  # (R, N)
    # One product for all sums; float64 holds counts below 2**53 exactly.
    drawn_hits, drawn_truth, drawn_union = (
        draws.astype(np.float64) @ counts.astype(np.float64) for counts in (hits, truth, union)
    )
    present = drawn_truth > 0  # (R, K)
    iou = np.divide(drawn_hits, drawn_union, out=np.zeros_like(drawn_hits), where=present)
    has_truth = present.any(1)
    scores = iou[has_truth].sum(1) / present[has_truth].sum(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)
