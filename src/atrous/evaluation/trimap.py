"""Mean IoU near object boundaries, over the width of the band: the trimap curve.

Kohli et al. (IJCV 2009) and DeepLab (Chen et al., TPAMI 2018, Sec. 4.1.3; ECCV 2018, Sec. 4.4)
dilate the void band around VOC's objects. Few data sets have one, so the band of width w is every
scored pixel at most w pixels (Euclidean) from a pixel with another label, void included. Where
void surrounds the objects that is DeepLab's band.
"""

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.boundary import as_labels, check_maps
from atrous.labels import VOID

__all__ = ["WIDTHS", "band_counts"]

WIDTHS = tuple(range(1, 41))
"""Pixels; the curve's x axis."""

BANDS = np.ceil(np.sqrt(np.arange(WIDTHS[-1] ** 2 + 1))).astype(np.int64) - 1
"""Index of the narrowest band that holds a squared distance; no pixel has distance 0."""


def band_counts(
    predictions: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    ignore_index: int = VOID,
) -> NDArray[np.int64]:
    """Return right, true and predicted pixels of each class by the band that they enter with.

    Args:
        predictions: (H, W) class indices.
        labels: (H, W) true classes or `ignore_index`.
        num_classes: K.
        ignore_index: Label of void pixels.

    Returns:
        (40, 3, K): row i holds the pixels that width i + 1 adds; the cumulative sum over the rows
        holds those of each band. `scores.MEAN_FIGURES` reads figures from it.

    Raises:
        InputError: Shapes differ, or there is no image.

    Example:
        >>> labels = np.array([[0, 0, 0, 1]])
        >>> band_counts(labels, labels, 2)[:, 1].cumsum(0)[:4].tolist()  # true pixels
        [[1, 1], [2, 1], [3, 1], [3, 1]]
    """
    from atrous.evaluation.trimap_kernel import count_bands, squared_distances

    check_maps(predictions, labels)
    truth = as_labels(labels, ignore_index)
    squared = np.empty(truth.shape, np.int16)
    squared_distances(truth, WIDTHS[-1], squared)
    counts = np.zeros((len(WIDTHS), 3, num_classes), np.int64)
    count_bands(as_labels(predictions), truth, squared, BANDS, counts)
    return counts
