"""A 3x3 convolution over a map of twice the size, without enlarging it.

Nearest upsampling gives every pixel to a block of 2x2, so most products of a convolution over the
enlarged map come twice or four times. With the weights that meet the same pixel added up first it
is a transposed convolution of the small map: 4x4 weights, stride 2, padding 1. Along one axis pixel
i lies at 2 i and 2 i + 1 of the enlarged map, and w[k] brings it to 2 i - k + 1 and 2 i - k + 2;
so w[0] + w[1] leads to 2 i + 1, say. That is 16 products for each small pixel in place of 36, and
neither the enlarged map nor its concatenation with a skip is made.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["conv_doubled", "conv_doubled_pays"]

FEWEST_PIXELS = 512
"""Of the small maps together. With fewer, adding up the weights costs more than it saves: forward
and backward in bf16 on two cores took 61 ms instead of 63 for (8, 512, 8, 8) and 256 maps of skip,
but 43 instead of 35 for (4, 512, 8, 8)."""

ADDED = ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))
"""Which of three weights each of the four is the sum of."""


def conv_doubled(x: Tensor, skip: Tensor | None, weight: Tensor) -> Tensor:
    """Convolve [x at twice its size, skip] with 3x3 weights and a padding of 1.

    Equal, but for rounding, to `conv2d(cat([interpolate(x, scale_factor=2), skip]), weight,
    padding=1)`. The weights are added up in their own dtype, also under autocast.

    Args:
        x: (N, C, h, w), floating.
        skip: (N, S, 2 h, 2 w), or None for no skip (S = 0).
        weight: (K, C + S, 3, 3).

    Returns:
        (N, K, 2 h, 2 w).

    Example:
        >>> x, weight = torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 3, 3)
        >>> conv_doubled(x, None, weight).tolist()  # of 1 1 2 2, twice
        [[[[4.0, 8.0, 10.0, 8.0], [4.0, 8.0, 10.0, 8.0]]]]
    """
    if skip is None:
        return functional.conv_transpose2d(x, _added_up(weight), stride=2, padding=1)
    of_x, of_skip = torch.split(weight, [x.shape[1], skip.shape[1]], dim=1)
    return conv_doubled(x, None, of_x) + functional.conv2d(skip, of_skip, padding=1)


def conv_doubled_pays(x: Tensor, size: Sequence[int], weight: Tensor) -> bool:
    """Tell whether `conv_doubled` is the faster way to convolve `x` enlarged to `size`.

    It is measured on CPUs and where the weights learn; exported programs keep the plain layers.
    Depends on shapes, so that a resumed run computes the same bits.

    Args:
        x: (N, C, h, w).
        size: (height, width) that is wanted.
        weight: The convolution's.
    """
    if torch.compiler.is_exporting():
        return False
    learns = torch.is_grad_enabled() and weight.requires_grad
    is_doubled = tuple(size) == (2 * x.shape[2], 2 * x.shape[3])
    is_large = x.shape[0] * x.shape[2] * x.shape[3] >= FEWEST_PIXELS
    return x.device.type == "cpu" and learns and is_doubled and is_large


def _added_up(weight: Tensor) -> Tensor:
    """Return the (C, K, 4, 4) weights of the transposed convolution for (K, C, 3, 3)."""
    count, channels = weight.shape[:2]
    rows = weight.transpose(0, 1).reshape(channels * count, 9)
    added = weight.new_tensor(ADDED)
    with torch.autocast(weight.device.type, enabled=False):
        rows = rows @ torch.kron(added, added).T
    return rows.view(channels, count, 4, 4)
