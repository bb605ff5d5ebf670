"""Patchwise sampling of the loss (Long et al., CVPR 2015, Sec. 3.4).

A fully convolutional network trains on all patches of an image at once. To train on a random part
of them, as patchwise training does, the paper keeps each cell of the last layer with probability
p and takes 1 / p times as many images (`--batch-size`), so that as many patches are in a batch. It
finds no faster convergence, and slower steps.

A cell is FCN-32s's, 32 x 32 pixels, whatever the network; the grid lies at random, so that no patch
has a fixed place. What is not kept is void, of which no loss knows anything.
"""

import numpy as np

from atrous.labels import VOID

__all__ = ["keep_patches"]

SIDE = 32


def keep_patches(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return labels (H, W) uint8 of which each patch is kept with probability `share`, else void.

    Args:
        labels: (H, W) uint8; not changed.
        share: In 0..1.
        rng: The only source of randomness.
    """
    rows, columns = (
        (np.arange(length) + start) // SIDE
        for length, start in zip(labels.shape, rng.integers(SIDE, size=2), strict=True)
    )
    is_kept = rng.random((rows[-1] + 1, columns[-1] + 1)) < share
    kept: np.ndarray = np.where(is_kept[rows[:, None], columns], labels, np.uint8(VOID))
    return kept
