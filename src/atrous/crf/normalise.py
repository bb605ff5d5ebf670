"""The five ways to normalise a kernel by the mass of its rows.

A filter normalised in any of them is diag(after) K diag(before), so two numbers per pixel suffice.
"""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.crf.gaussian import Gaussian
from atrous.crf.parameters import Normalization

__all__ = ["Normalised", "scales"]

Values = TypeVar("Values", NDArray[np.floating], Tensor)

TINY = 1e-20
"""As in the references, so that an empty row gives 0 and not NaN."""
ALONE = 1e-4
"""A row with less mass than this, once its own pixel is taken out, has no neighbours at all."""


class Normalised:
    """A Gaussian filter, normalised, with or without the pixel itself.

    Args:
        gaussian: The filter.
        like: (B, N, 1) tensor whose shape, dtype and device the values have.
        normalization: See `Normalization`.
        exclude_self: Take k(i, i) out of every sum, as the paper's formula does.
    """

    def __init__(
        self, gaussian: Gaussian, like: Tensor, normalization: Normalization, exclude_self: bool
    ) -> None:
        self.gaussian = gaussian
        self.own = gaussian.self_response if exclude_self else 0.0
        ones = torch.ones_like(like)
        mass = gaussian(ones) - self.own * ones
        self.before, self.after = scales(mass, normalization, gaussian.gain)

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (B, N, K) over the pixels N."""
        scaled = self.before * values
        return self.after * (self.gaussian(scaled) - self.own * scaled)


def scales(mass: Values, normalization: Normalization, gain: float = 1.0) -> tuple[Values, Values]:
    """Return (before, after), the factors of each pixel, shaped like `mass`.

    Plain operators, for arrays and tensors alike: on the CPU torch would wake threads of its own,
    which wait for more work on the cores that the next pass needs.

    Args:
        mass: (B, N, 1) row sums of the kernel; no gradient goes through them.
        normalization: See `Normalization`.
        gain: What brings an approximate kernel to the scale of exact sums.
    """
    ones = 0 * mass + 1
    if normalization == "none":
        return ones, ones * gain
    if normalization == "constant":
        return ones, ones / (mass.mean(1)[:, None] + TINY)
    inverse = (mass > ALONE) / (mass + TINY)
    if normalization == "symmetric":
        return inverse**0.5, inverse**0.5
    return (ones, inverse) if normalization == "after" else (inverse, ones)
