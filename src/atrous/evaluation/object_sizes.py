"""How well objects are found by their size, and at which size they are made up.

An object is a connected area of one class (8 neighbours); touching objects of one class count as
one. The sizes are COCO's (Lin et al., ECCV 2014): below 32 x 32 pixels, below 96 x 96, and larger.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.boundary import as_labels
from atrous.labels import VOID

__all__ = ["SIZES", "object_counts"]

SIZES = (("small", 0), ("medium", 32**2), ("large", 96**2))
"""Name and smallest area in pixels."""

FOUND = 0.5
"""An object of which at least this share of the pixels has its class is found."""


def object_counts(
    maps: NDArray[np.uint8], others: NDArray[np.uint8], num_classes: int, *, void: int = VOID
) -> NDArray[np.int64]:
    """Count the objects of `maps` and how much of them `others` agrees with.

    With the truth as `maps` that is what was found; with the predictions, what was not made up.

    Args:
        maps: (H, W) integers, the objects' own classes.
        others: (H, W) classes to agree with.
        num_classes: K.
        void: Label of pixels that belong to no object and judge none, in either map.

    Returns:
        (K, 3, 4): by class and size, objects, those found (at least half of their pixels agree),
        pixels, and pixels that agree.
    """
    counts = np.zeros((num_classes, len(SIZES), 4), np.int64)
    objects = as_labels(np.where(others == void, VOID, maps), void)
    smallest = [area for _, area in SIZES]
    for index in np.flatnonzero(np.bincount(objects.ravel(), minlength=256)[:num_classes]):
        areas, agreeing = _objects((objects == index).view(np.uint8), others == index)
        size = np.searchsorted(smallest, areas, side="right") - 1
        found = agreeing >= FOUND * areas
        for column, values in enumerate((np.ones_like(areas), found, areas, agreeing)):
            np.add.at(counts[index, :, column], size, values.astype(np.int64))
    return counts


def _objects(
    mask: NDArray[np.uint8], agrees: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the area of each connected part of a mask, and how much of it agrees."""
    left, top, width, height = cv2.boundingRect(mask)
    window = slice(top, top + height), slice(left, left + width)
    number, parts = cv2.connectedComponents(mask[window], connectivity=8)
    areas = np.bincount(parts.ravel(), minlength=number)[1:]
    return areas, np.bincount(parts[agrees[window]], minlength=number)[1:]
