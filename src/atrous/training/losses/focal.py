"""Focal loss: easy pixels fade out of the sum (Lin et al., ICCV 2017, Sec. 3.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.training.losses.images import sum_over_images
from atrous.training.losses.loss import PixelLoss, Targets

__all__ = ["Focal"]

SMALLEST_MISS = 1e-12
"""Where 1 - p is smaller, its power's slope, infinite at 0 for gamma below 1, counts as 0."""


@dataclass(frozen=True)
class Focal(PixelLoss):
    """-w_y (1 - p_y)^gamma log p_y, summed over labelled pixels; w is the paper's alpha.

    The paper divides by the number of objects, of which pixels know nothing.
    Memory: logits of one image at full size (`images.py`).

    Attributes:
        gamma: How fast easy pixels fade; the paper's best is 2, and 0 is cross entropy.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        """Refuse an exponent under which easy pixels would grow.

        Raises:
            InputError: `gamma` is negative.
        """
        if self.gamma < 0:
            raise InputError(f"gamma is {self.gamma:g}, but must be 0 or more, such as 2")

    def total(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the sum over labelled pixels."""

        def of_pixels(logits: Tensor, labels: Tensor) -> Tensor:
            log_p = torch.log_softmax(logits, 0).gather(0, labels[None])[0]
            miss = -torch.expm1(log_p)  # 1 - p, without cancellation
            faded = miss.clamp_min(SMALLEST_MISS) ** self.gamma
            return -(targets.class_weights[labels] * faded * log_p).sum()

        return sum_over_images(of_pixels, scores, targets)
