"""The form of `upsample_cross_entropy` on the CPU for scores of the labels' own size.

Nothing is computed ahead for the backward pass, which takes the softmax once more: that costs less
than a gradient in float32 that goes to memory and comes back to be multiplied and narrowed. It
writes the gradient once, in the dtype and layout of the scores.
"""

import numpy as np
import torch
from torch import Tensor

from atrous.ops.shares import in_shares
from atrous.ops.upsample_cross_entropy_pixels_kernel import WIDE, add_losses, fill_gradient
from atrous.ops.upsample_cross_entropy_torch import Classes, Totals, not_a_class

__all__ = ["gradient_in_pixels", "sum_in_pixels"]


def sum_in_pixels(
    scores: Tensor, labels: Tensor, classes: Classes, align_corners: bool, has_gradient: bool
) -> Totals:
    """Sum loss and weights; arguments and errors as of `sum_in_lines`.

    The corners do not matter, and there is no gradient yet: see `gradient_in_pixels`.
    """
    count, num_classes, height, _ = scores.shape
    lines = count * height
    losses, weights, wrong = np.zeros(lines), np.zeros(lines), np.zeros(lines, np.int64)
    given = _array(scores), labels.contiguous().numpy(), (losses, weights, wrong), _arrays(classes)

    def add(begin: int, end: int) -> None:
        add_losses(*given, (begin, end), WIDE)

    in_shares(add, lines)
    if (wrong != classes.void).any():
        raise not_a_class(int(wrong[wrong != classes.void][0]), num_classes, classes.void)
    loss, weight = (torch.tensor(part.sum(), dtype=torch.float32) for part in (losses, weights))
    return Totals(loss, weight, None)


def gradient_in_pixels(
    scores: Tensor, labels: Tensor, classes: Classes, upstream: Tensor
) -> Tensor:
    """Return the gradient of the summed loss, times a number.

    Args:
        scores: (N, K, H, W), floating; not float64.
        labels: (N, H, W) uint8 or int64 that `sum_in_pixels` took.
        classes: What each class counts.
        upstream: The number, a tensor of no dimensions.

    Returns:
        (N, K, H, W) in the memory format of `scores`, bfloat16 for such scores, else float32.
    """
    gradient = torch.empty_like(scores if scores.dtype == torch.bfloat16 else scores.float())
    given = (
        _array(scores),
        labels.contiguous().numpy(),
        _array(gradient),
        _arrays(classes),
        np.float32(upstream.item()),
    )

    def fill(begin: int, end: int) -> None:
        fill_gradient(*given, (begin, end), WIDE)

    in_shares(fill, scores.shape[0] * scores.shape[2])
    return gradient


def _array(scores: Tensor) -> np.ndarray:
    """View (N, K, H, W) as (N, H, W, K) float32, or as uint16 with the bits of bfloat16."""
    is_half = scores.dtype == torch.bfloat16
    plain = scores.view(torch.uint16) if is_half else scores.float()
    array: np.ndarray = plain.permute(0, 2, 3, 1).numpy()
    return array


def _arrays(classes: Classes) -> tuple[object, ...]:
    """Return the parts of `classes` as compiled code takes them."""
    return (*(part.numpy() for part in classes[:4]), *classes[4:])
