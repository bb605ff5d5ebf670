"""Losses that look at every class of every pixel at full size: one image at a time.

The logits of a batch at full size take 4 N K H W bytes (0.35 GB for 16 crops of 513x513 with 21
classes), the softmax and its gradient as much again each. Here they are made for one image, used
and dropped, and made again on the way back (gradient checkpointing), so a batch takes the memory
of one image.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from atrous.ops import resize
from atrous.training.losses.loss import Loss, Targets

__all__ = ["ImageLoss", "regions", "sum_over_images"]


class ImageLoss(Loss):
    """A value for each image, averaged over the images that have a labelled pixel."""

    @abstractmethod
    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the value for an image, a scalar.

        Args:
            logits: (K, P) of its P labelled pixels, at full size; P is 1 or more.
            labels: (P,) int64.
            class_weights: (K,).
        """

    def total(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the sum over images."""

        def of_pixels(logits: Tensor, labels: Tensor) -> Tensor:
            return self.of_pixels(logits, labels, targets.class_weights)

        return sum_over_images(of_pixels, scores, targets)

    def divisor(self, targets: Targets) -> Tensor:
        """Return the number of images with a labelled pixel."""
        is_labelled = (targets.labels != targets.ignore_index).flatten(1).any(1)
        return is_labelled.sum().to(targets.class_weights.dtype)


def sum_over_images(
    of_pixels: Callable[..., Tensor], scores: Tensor, targets: Targets, *maps: Tensor
) -> Tensor:
    """Add up what `of_pixels` makes of the labelled pixels of each image.

    Void is left out before `of_pixels` is called, so nothing of it can reach the value or, but for
    the resizing, the gradient. Images without any label are left out too.

    Args:
        of_pixels: Maps logits (K, P), labels (P,) int64 and what the maps hold at the same P
            pixels to a scalar.
        scores: (N, K, h, w) logits at any stride; computed with in float32, or in float64.
        targets: Labels (N, H, W).
        maps: (N, H, W) each, without gradient.
    """

    def of_image(score: Tensor, labels: Tensor, *planes: Tensor) -> Tensor:
        size = (labels.shape[0], labels.shape[1])
        logits = resize(score, size, align_corners=targets.align_corners)[0].flatten(1)
        labelled = (labels.flatten() != targets.ignore_index).nonzero()[:, 0]
        picked = (plane.flatten()[labelled] for plane in planes)
        return of_pixels(
            logits.index_select(1, labelled), labels.flatten()[labelled].long(), *picked
        )

    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    total = scores[:0].sum()  # 0, and so is its gradient
    for number, labels in enumerate(targets.labels):
        if bool((labels != targets.ignore_index).any()):
            score = scores[number : number + 1]
            planes = (plane[number] for plane in maps)
            total = total + checkpoint(
                of_image, score, labels, *planes, use_reentrant=False, preserve_rng_state=False
            )
    return total


def regions(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what an image's labelled pixels show of each class that occurs among them.

    Args:
        logits: (K, P).
        labels: (P,) int64.

    Returns:
        The classes that occur (C,), their probabilities (C, P), their masks (C, P) as bool.
    """
    shown = torch.bincount(labels, minlength=len(logits)).nonzero()[:, 0]
    return shown, torch.softmax(logits, 0)[shown], labels == shown[:, None]
