"""Lovasz-softmax: the IoU itself, made differentiable (Berman et al., CVPR 2018).

With the error m of a pixel (1 - p where it is of the class, p elsewhere), the Jaccard loss as a
function of the set of wrong pixels is submodular, and its Lovasz extension is

    sum over i of m_(i) (Delta_i - Delta_(i-1)),  m_(1) >= m_(2) >= ...

with Delta_i the Jaccard loss when the i pixels of the largest error are the wrong ones (Sec. 3).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.training.losses.images import ImageLoss, regions
from atrous.training.losses.loss import quotient

__all__ = ["Lovasz"]


@dataclass(frozen=True)
class Lovasz(ImageLoss):
    """Mean of the Lovasz extension over the classes that an image shows; mean over images.

    Classes count by their weights. Of the paper's two choices, the IoU of an image or that of a
    batch, this is the first: it does not depend on how a batch is cut.

    Memory: probabilities of one image at full size (`images.py`), and for the classes that it
    shows five times as much again, to sort them.
    """

    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the mean over the classes shown."""
        shown, probabilities, masks = regions(logits, labels)
        errors, order = (masks.to(logits.dtype) - probabilities).abs().sort(1, descending=True)
        losses = (errors * _steps(masks.gather(1, order), logits.dtype)).sum(1)
        weights = class_weights[shown]
        return quotient((weights * losses).sum(), weights.sum())


def _steps(masks: Tensor, dtype: torch.dtype) -> Tensor:
    """Return Delta_i - Delta_(i-1), the growth of the Jaccard loss 1 - I / U pixel by pixel.

    A pixel of the class leaves the intersection, any other joins the union. In the paper's
    Algorithm 1 neighbours are subtracted, which in float32 leaves one digit of a megapixel's steps.

    Args:
        masks: (C, P) bool in order of falling error; each row holds a True.
        dtype: Of the result.
    """
    intersection = masks.sum(1, keepdim=True) - masks.cumsum(1)
    union = intersection + torch.arange(1, masks.shape[1] + 1, device=masks.device)
    grown = (union * (union - 1)).clamp_min(1)
    return torch.where(masks, 1 / union.to(dtype), intersection / grown.to(dtype))
