"""Whether a network is right as often as it says: expected calibration error, reliability.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), Sec. 2: pixels are sorted by
their confidence, the probability of the predicted class, into bins of equal width; ECE is the mean
distance of accuracy and confidence over the bins, weighted by pixels. Three sums a bin are all
that is kept, however many pixels there are.
"""

import numpy as np
from numpy.typing import NDArray

from atrous.errors import InputError
from atrous.labels import VOID

__all__ = ["BINS", "confidence_bins", "expected_calibration_error", "reliability"]

BINS = 15
"""As Guo et al. (Table 1); bin m holds confidences above m / 15, up to and with (m + 1) / 15."""

Floats = NDArray[np.float64]


def confidence_bins(
    confidence: NDArray[np.float32],
    predictions: np.ndarray,
    labels: np.ndarray,
    *,
    ignore_index: int = VOID,
) -> Floats:
    """Return what the calibration figures are taken from, added over images.

    Args:
        confidence: Probability of the predicted class, 0..1, of any shape.
        predictions: Class indices, same shape.
        labels: True classes or `ignore_index`, same shape.
        ignore_index: Label of void pixels.

    Returns:
        (3, 15): pixels, right pixels, and the sum of the confidence, of each bin.

    Raises:
        InputError: Shapes differ.

    Example:
        >>> sums = confidence_bins(np.array([0.9, 0.9]), np.array([1, 1]), np.array([1, 0]))
        >>> round(float(expected_calibration_error(sums)), 2)  # right half the time, sure at 0.9
        0.4
    """
    if not confidence.shape == predictions.shape == labels.shape:
        raise InputError(
            f"confidence {confidence.shape}, predictions {predictions.shape} and labels "
            f"{labels.shape} differ in shape; give three maps of one size"
        )
    scored = labels != ignore_index
    sure = confidence[scored].astype(np.float64)
    right = predictions[scored] == labels[scored]
    places = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    sums = (np.bincount(places, weights, BINS) for weights in (None, right, sure))
    return np.stack([np.asarray(each, np.float64) for each in sums])


def expected_calibration_error(bins: Floats) -> Floats:
    """Return the ECE, a fraction, of sums (..., 3, 15): shape (...,), NaN without a pixel."""
    pixels, right, sure = bins[..., 0, :], bins[..., 1, :], bins[..., 2, :]
    total = pixels.sum(-1)
    gap = np.abs(right - sure).sum(-1)
    error: Floats = np.divide(gap, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return error


def reliability(bins: Floats) -> list[dict[str, float]]:
    """Return the reliability diagram of sums (3, 15): one row for each bin that holds a pixel."""
    total = max(bins[0].sum(), 1)
    return [
        {
            "from": index / BINS,
            "to": (index + 1) / BINS,
            "share": float(pixels / total),
            "accuracy": float(right / pixels),
            "confidence": float(sure / pixels),
        }
        for index, (pixels, right, sure) in enumerate(bins.T)
        if pixels
    ]
