"""What a loss is here: a total and a divisor, both of them sums over the images of a batch.

    loss of a batch = sum over its images of `total` / sum over its images of `divisor`

The divisor follows from the labels alone. So a batch can be cut into micro-batches, or shared out
between processes: each part computes its total, all of them divide by the divisor of the whole
batch, and the gradients add up to those of the batch in one piece, whatever the loss. Losses over
pixels divide by weights or numbers of pixels; losses over regions (Dice, Lovasz, ...), whose value
is no sum over pixels, are means over images and divide by the number of images.

Labels are full size and scores are coarse: a loss resizes for itself, and void never counts.
"""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from atrous.labels import VOID

__all__ = ["DivideBy", "Loss", "PixelLoss", "Targets", "quotient"]

DivideBy = Literal["weights", "pixels", "images"]
"""What a sum over pixels is divided by: the class weights of the labelled pixels (PyTorch's
mean), their number (SegNet's Caffe layer), the number of images (FCN, which sums over pixels)."""


class Targets(NamedTuple):
    """What scores are compared with.

    Attributes:
        labels: (N, H, W) integers in 0..K-1, or `ignore_index` where nothing is known.
        class_weights: (K,) what each class counts, floating point, 0 or more.
        ignore_index: Label of void.
        align_corners: Corner convention by which scores are resized to the labels.
        divide_by: What sums over pixels are divided by.
    """

    labels: Tensor
    class_weights: Tensor
    ignore_index: int = VOID
    align_corners: bool = False
    divide_by: DivideBy = "weights"


class Loss(ABC):
    """A loss from coarse scores: `loss(scores, targets)` is that of a whole batch."""

    @abstractmethod
    def total(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the sum over these images, a scalar in float32 or better.

        Args:
            scores: (N, K, h, w) logits at any stride, any floating dtype.
            targets: Labels of the same images.
        """

    @abstractmethod
    def divisor(self, targets: Targets) -> Tensor:
        """Return these images' share of what the total is divided by, a scalar; 0 if all void."""

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return total / divisor, 0 where every pixel is void."""
        return quotient(self.total(scores, targets), self.divisor(targets))


class PixelLoss(Loss):
    """A sum over labelled pixels, divided as `targets.divide_by` says."""

    def divisor(self, targets: Targets) -> Tensor:
        """Return the weights or the number of labelled pixels, or the number of images."""
        weights = targets.class_weights
        if targets.divide_by == "images":
            return weights.new_tensor(len(targets.labels))
        labelled = targets.labels[targets.labels != targets.ignore_index].long()
        each = weights if targets.divide_by == "weights" else torch.ones_like(weights)
        return (torch.bincount(labelled, minlength=len(weights)) * each).sum()


def quotient(total: Tensor, divisor: Tensor) -> Tensor:
    """Return total / divisor; where the divisor is 0 the total, which is 0 then."""
    return total / torch.where(divisor > 0, divisor, torch.ones_like(divisor))
