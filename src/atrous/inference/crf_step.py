"""The CRF as a step of a prediction: it runs where the network's probabilities lie."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.crf import DenseCRF
from atrous.errors import is_out_of_memory

__all__ = ["CRF", "sharpened"]

CRF = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]
"""(image (H, W, 3) uint8, probabilities (K, H, W)) -> (K, H, W); a `DenseCRF` takes tensors too."""

logger = logging.getLogger(__name__)


def sharpened(crf: CRF, image: NDArray[np.uint8], probabilities: Tensor) -> Tensor:
    """Return probabilities after a CRF.

    A `DenseCRF` works on the device of the probabilities, or on the CPU where that device has too
    little memory for its lattice; any other callable gets arrays.

    Args:
        crf: What sharpens.
        image: (H, W, 3) RGB.
        probabilities: (K, H, W) float32 on any device.

    Returns:
        (K, H, W) float32 on the same device.
    """
    if isinstance(crf, DenseCRF):
        try:
            return crf(image, probabilities)
        except RuntimeError as error:
            if probabilities.device.type == "cpu" or not is_out_of_memory(error):
                raise
        logger.warning("the CRF does not fit into the memory of the GPU; it runs on the CPU")
        return crf(image, probabilities.cpu()).to(probabilities.device)
    return torch.from_numpy(crf(image, probabilities.cpu().numpy())).to(probabilities.device)
