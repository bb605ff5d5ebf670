"""The five ways to normalise a kernel by the mass of its rows.

A filter normalised in any of them is diag(after) K diag(before), so two numbers per pixel suffice.
"""

import torch
from torch import Tensor

from atrous.crf.gaussian import Gaussian
from atrous.crf.parameters import Normalization

__all__ = ["Normalised", "scales"]

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


def scales(mass: Tensor, normalization: Normalization, gain: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return (before, after), the factors of each pixel, shaped like `mass`.

    Args:
        mass: (B, N, 1) row sums of the kernel.
        normalization: See `Normalization`.
        gain: What brings an approximate kernel to the scale of exact sums.
    """
    ones = torch.ones_like(mass)
    if normalization == "none":
        return ones, ones * gain
    if normalization == "constant":
        return ones, 1 / (mass.mean(1, keepdim=True) + TINY) * ones
    inverse = torch.where(mass > ALONE, 1 / (mass + TINY), 0.0)
    if normalization == "symmetric":
        return inverse.sqrt(), inverse.sqrt()
    return (ones, inverse) if normalization == "after" else (inverse, ones)
