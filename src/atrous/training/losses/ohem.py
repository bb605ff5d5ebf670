"""Online hard example mining: only the pixels that the network gets wrong, or nearly, teach it.

Shrivastava et al. (CVPR 2016) pick boxes so; Wu et al. (arXiv:1605.06885) pixels: those whose true
class has a probability below a threshold, and no fewer than a minimum.

Departure from common code, which picks from all pixels of a batch on one device: here each image
picks from its own, and the minimum is a share of its labelled pixels instead of a number. So the
result depends on neither the micro-batch nor the crop.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.training.losses.images import ImageLoss
from atrous.training.losses.loss import quotient

__all__ = ["OHEM"]


@dataclass(frozen=True)
class OHEM(ImageLoss):
    """Weighted mean of the cross entropy over the hard pixels of an image; mean over images.

    Memory: logits of one image at full size (`images.py`).

    Attributes:
        threshold: Pixels whose true class has a lower probability are hard, in 0..1.
        min_kept: Share of an image's labelled pixels, those of the lowest probability, that are
            hard in any case, in 0..1; with 1 it is the mean of each image's
            cross entropy, which for one image is the cross entropy.
    """

    threshold: float = 0.7
    min_kept: float = 0.0625

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            InputError: `threshold` or `min_kept` is outside 0..1.
        """
        for name in ("threshold", "min_kept"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name):g}, but must lie in 0..1")

    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the weighted mean over the hard pixels."""
        log_p = torch.log_softmax(logits, 0).gather(0, labels[None])[0]
        counts = class_weights[labels] * self._is_hard(log_p.detach().exp())
        return quotient(-(counts * log_p).sum(), counts.sum())

    def _is_hard(self, probability: Tensor) -> Tensor:
        """Pick from the probabilities (P,) of the true classes; pixels that tie go together."""
        least = math.ceil(self.min_kept * len(probability))
        is_hard = probability < self.threshold
        if least > 0:
            is_hard |= probability <= probability.kthvalue(least).values
        return is_hard
