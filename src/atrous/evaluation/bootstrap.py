"""How far a score would move on other images of the same kind: percentile bootstrap.

Images, not pixels, are drawn with replacement (pixels of one image are not independent), and the
matrices of the drawn images are summed before the score is taken, as for the score itself
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Ch. 13).
"""

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.scores import intersection_over_union

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    matrices: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of the mean IoU.

    Args:
        matrices: (N, K, K) counts, one per image.
        confidence: Share of the resampled scores that the interval holds.
        resamples: How many times N images are drawn.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        (low, high), fractions; (NaN, NaN) for fewer than two images.
    """
    count, classes = matrices.shape[:2]
    if count < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)  # (R, N)
    # One matrix product instead of R sums; float64 holds counts below 2**53 exactly.
    sums = draws.astype(np.float64) @ matrices.reshape(count, -1).astype(np.float64)
    iou = intersection_over_union(sums.reshape(resamples, classes, classes).astype(np.int64))
    scores = np.nanmean(iou[~np.isnan(iou).all(1)], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)
