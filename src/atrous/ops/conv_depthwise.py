"""Depthwise 3x3 convolutions with gradients that a CPU gets right and fast.

oneDNN's gradients of them (torch 2.15) are wrong where they are dilated, in bfloat16: memory that
nobody wrote comes back, relative errors of 1e30. Where they are strided in bfloat16, or dilated in
float32, they are right and slow. Here both gradients are summed in float32 in one walk over the
lines. The convolution itself stays torch's.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops.shares import in_shares

__all__ = ["conv_depthwise", "conv_depthwise_pays"]

KINDS = torch.bfloat16, torch.float32
"""Of maps."""
BANDS = 16
"""Parts of the lines that are summed apart: most threads that can share the work."""


def conv_depthwise(
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """Convolve each channel with 3x3 weights of its own; there are no second derivatives.

    Equal to `conv2d(x, weight.to(x.dtype), None, stride, padding, dilation, groups=C)`. The
    gradient of the weights has their dtype, so in mixed precision it is never rounded to bfloat16.

    Args:
        x: (N, C, H, W), float32 or bfloat16, on the CPU; it and the result lie channels last.
        weight: (C, 1, 3, 3), floating.
        stride: Vertical and horizontal.
        padding: Zeros above and below, left and right.
        dilation: Distance between taps.

    Returns:
        (N, C, h, w).

    Raises:
        InputError: Maps of another kind or place, or weights of another shape.

    Example:
        >>> x, weight = torch.ones(1, 2, 1, 3), torch.ones(2, 1, 3, 3)
        >>> conv_depthwise(x, weight, padding=(1, 1)).tolist()
        [[[[2.0, 3.0, 2.0]], [[2.0, 3.0, 2.0]]]]
    """
    is_taken = x.ndim == 4 and x.device.type == "cpu" and x.dtype in KINDS
    if not is_taken or tuple(weight.shape) != (x.shape[1], 1, 3, 3):
        raise InputError(
            f"cannot convolve {x.dtype} of shape {tuple(x.shape)} on {x.device.type} with weights "
            f"of shape {tuple(weight.shape)}; give float32 or bfloat16 (N, C, H, W) on the CPU and "
            "weights (C, 1, 3, 3), or take torch's conv2d with groups=C"
        )
    y: Tensor = _ConvDepthwise.apply(x, weight, stride, padding, dilation)
    return y


def conv_depthwise_pays(
    x: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> bool:
    """Tell whether `conv_depthwise` takes this convolution and computes its gradients faster."""
    is_depthwise = 1 < groups == x.shape[1] == weight.shape[0]
    is_taken = x.device.type == "cpu" and tuple(weight.shape[2:]) == (3, 3)
    is_slow = max(dilation) > 1 or (x.dtype == torch.bfloat16 and max(stride) > 1)
    return is_depthwise and is_taken and is_slow and x.dtype in KINDS


class _Context(Protocol):
    """What torch hands from the forward to the backward pass."""

    geometry: tuple[tuple[int, int], ...]
    dtype: torch.dtype
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _ConvDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        x: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        rounded = weight.to(x.dtype)
        ctx.save_for_backward(x, rounded)
        ctx.geometry, ctx.dtype = (stride, padding, dilation), weight.dtype
        return functional.conv2d(x, rounded, None, stride, padding, dilation, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = _gradients(gradient.to(x.dtype), x, weight, ctx.geometry)
        return of_x, of_weight.to(ctx.dtype), None, None, None


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, geometry: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x, channels last, and of the weights in float32."""
    from atrous.ops.conv_depthwise_kernel import CHANNELS, ROW, fill_gradients

    channels = x.shape[1]
    of_x = torch.empty_like(x)
    filled = -(-channels // CHANNELS) * CHANNELS
    taps = np.zeros((9, filled), np.float32)
    taps[:, :channels] = weight.detach().float().reshape(channels, 9).T.numpy()
    sums = np.zeros((BANDS, 9, filled), np.float32)
    given = (_array(x), _array(gradient)), taps, (_array(of_x), sums), geometry

    def fill(begin: int, end: int) -> None:
        fill_gradients(*given, (begin, end), ROW)

    in_shares(fill, BANDS)
    of_weight = torch.from_numpy(sums.sum(0)[:, :channels].T.reshape(weight.shape))
    return of_x, of_weight


def _array(maps: Tensor) -> np.ndarray:
    """View (N, C, H, W) as (N, H, W, C) float32, or as uint16 with the bits of bfloat16."""
    plain = maps.detach().contiguous(memory_format=torch.channels_last)
    bits = plain.view(torch.uint16) if plain.dtype == torch.bfloat16 else plain
    array: np.ndarray = bits.permute(0, 2, 3, 1).numpy()
    return array
