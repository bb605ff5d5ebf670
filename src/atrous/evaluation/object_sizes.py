"""How well objects are found by their size, and at which size they are made up.

An object is a connected area of one class (8 neighbours); touching objects of one class count as
one. The sizes are COCO's (Lin et al., ECCV 2014): below 32 x 32 pixels, below 96 x 96, and larger.
"""

import numpy as np
from numpy.typing import NDArray

from atrous.evaluation.boundary import as_labels
from atrous.labels import VOID

__all__ = ["SIZES", "object_counts"]

SIZES = (("small", 0), ("medium", 32**2), ("large", 96**2))
"""Name and smallest area in pixels."""


def object_counts(
    maps: NDArray[np.integer], others: NDArray[np.integer], num_classes: int, *, void: int = VOID
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the objects of `maps`, and what `others` calls their pixels.

    With the truth as `maps` that is what was found, and what objects were taken for; with the
    predictions, what was not made up.

    Args:
        maps: (H, W) the objects' own classes.
        others: (H, W) classes to agree with.
        num_classes: K.
        void: Label of void pixels. Where either map holds it, or no class, there is no object.

    Returns:
        (K, 3, 4): by class and size, objects, those found (at least half of their pixels agree),
        pixels, and pixels that agree. And (3, K, K), a confusion matrix for each size: pixels by
        their own class and the class in `others`. Together they make that of all pixels.
    """
    from atrous.evaluation.object_kernel import count_objects  # numba takes half a second to load

    counts = np.zeros((num_classes, len(SIZES), 4), np.int64)
    matrices = np.zeros((len(SIZES), num_classes, num_classes), np.int64)
    smallest = np.array([area for _, area in SIZES])
    count_objects(as_labels(maps, void), as_labels(others, void), smallest, counts, matrices)
    return counts, matrices
