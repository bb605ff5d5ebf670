"""Pixels as points in a feature space, and the exact Gaussian filter over them.

Features are divided by their standard deviation, so every kernel is exp(-|f_i - f_j|^2 / 2).
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from atrous.crf.parameters import Appearance, Smoothness
from atrous.errors import InputError

__all__ = ["ExactGaussian", "Gaussian", "appearance_features", "smoothness_features"]

MAX_PIXELS = 10_000
"""More would need gigabytes: the exact filter holds N x N numbers."""


class Gaussian(ABC):
    """The filter K of one kernel: every pixel receives the weighted sum of all pixels.

    `gain` brings a filter that only approximates to the scale of exact sums.
    """

    gain: float = 1.0

    @property
    def self_response(self) -> Tensor | float:
        """Share of its own value that a pixel receives, k(i, i): 1, or (B, N, 1)."""
        return 1.0

    @abstractmethod
    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (B, N, K) over the pixels N; differentiable."""


class ExactGaussian(Gaussian):
    """The kernel as a matrix, O(N^2): the oracle for small images."""

    def __init__(self, features: Tensor) -> None:
        """Compute the matrix.

        Args:
            features: (B, N, d); the result has their dtype and device.

        Raises:
            InputError: More pixels than a matrix is reasonable for.
        """
        if features.shape[1] > MAX_PIXELS:
            raise InputError(
                f"the exact filter compares all pairs of {features.shape[1]} pixels; "
                f'crop to {MAX_PIXELS} pixels or use filter="lattice"'
            )
        squares = features.square().sum(-1)
        products = features @ features.mT
        distances = squares[:, :, None] + squares[:, None, :] - 2 * products
        self.matrix = distances.clamp(min=0).mul_(-0.5).exp_()
        self.matrix.diagonal(dim1=1, dim2=2).fill_(1)

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (B, N, K) over the pixels N."""
        return self.matrix @ values


def appearance_features(
    image: NDArray[np.uint8], appearance: Appearance, extra: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (H W, 2 + C + F) positions, colours and extra features, over their deviations.

    Args:
        image: (H, W, C).
        appearance: The kernel.
        extra: (F, H, W), F from 0.
    """
    positions = _positions(image.shape[:2]) / appearance.xy_std
    colours = image.reshape(-1, image.shape[2]) / appearance.rgb_std
    others = extra.reshape(len(extra), positions.shape[0]).T / np.array(appearance.feature_stds)
    return np.concatenate([positions, colours, others], axis=1)


def smoothness_features(size: tuple[int, int], smoothness: Smoothness) -> NDArray[np.float64]:
    """Return (H W, 2) positions over their deviation."""
    return _positions(size) / smoothness.xy_std


def _positions(size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return (H W, 2) points (x, y) in pixels, in reading order."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
