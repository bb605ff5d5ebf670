"""Convolutions with holes whose weights' gradient leaves out what meets only padding.

At a rate near the size of the map most taps look beyond it: at rate 18 on a map of 16x16, eight of
nine. The gradient of a tap's weights is one matrix product over the pixels where it meets the map.
oneDNN's (torch 2.15) multiplies the padding, too, and slows down with the rate besides: 43 ms
instead of 1.1 for (4, 2048, 16, 16) to 256 maps at rate 18 in bf16 on two cores, 13 instead of 7 at
rate 6. The convolution and its gradient for the image stay torch's.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

__all__ = ["conv_dilated", "conv_dilated_pays"]

LEAST_RATE, MANY, MOST_MET, LEAST_WEIGHTS = 5, 1024, 0.45, 2**14
"""Where it pays: rates from here on (at 2 it took 4.5 ms instead of 3.6, at 4 the same); so many
channels, or at most such a share of the products that meets the map (with 40 % of them 320 channels
are 1.3 times as fast, with 56 % 0.7 times); and so many weights of a tap."""


def conv_dilated(
    x: Tensor, weight: Tensor, padding: tuple[int, int], dilation: tuple[int, int]
) -> Tensor:
    """Convolve with stride 1; there are no second derivatives.

    Equal to `conv2d(x, weight, None, 1, padding, dilation)`.

    Args:
        x: (N, C, H, W), floating.
        weight: (K, C, kh, kw), of the same dtype.
        padding: Zeros above and below, left and right.
        dilation: Distance between taps (the rate), vertical and horizontal.

    Returns:
        (N, K, h, w).

    Example:
        >>> x, weight = torch.ones(1, 1, 1, 3), torch.ones(1, 1, 3, 3)
        >>> conv_dilated(x, weight, padding=(2, 2), dilation=(2, 2)).tolist()
        [[[[2.0, 1.0, 2.0]]]]
    """
    y: Tensor = _ConvDilated.apply(x, weight, padding, dilation)
    return y


def conv_dilated_pays(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    """Tell whether `conv_dilated` takes this convolution and computes its gradient faster."""
    is_taken = groups == 1 and max(stride) == 1 and x.device.type == "cpu"
    if not is_taken or min(dilation) < LEAST_RATE or max(weight.shape[2:]) == 1:
        return False
    met = 1.0
    for taps, side, margin, rate in zip(
        weight.shape[2:], x.shape[2:], padding, dilation, strict=True
    ):
        size = side + 2 * margin - rate * (taps - 1)
        if size < 1:
            return False  # torch says why
        overlaps = _overlaps(taps, size, side, margin, rate)
        met *= sum(here.stop - here.start for _, here, _ in overlaps) / (taps * size)
    is_large = weight.shape[0] * weight.shape[1] >= LEAST_WEIGHTS
    return is_large and (x.shape[1] >= MANY or met <= MOST_MET)


class _Context(Protocol):
    """What torch hands from the forward to the backward pass."""

    geometry: tuple[tuple[int, int], tuple[int, int]]
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _ConvDilated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        x: Tensor,
        weight: Tensor,
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = padding, dilation
        return functional.conv2d(x, weight, None, 1, padding, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        padding, dilation = ctx.geometry
        gradient = gradient.to(x.dtype)  # under autocast the result was bfloat16
        of_x, of_weight = None, None
        if ctx.needs_input_grad[0]:
            given = weight, gradient, 1, padding, dilation
            of_x = conv2d_input(x.shape, *given)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, padding, dilation)
        return of_x, of_weight, None, None


def _of_weight(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Return the gradient of the weights, like them: a matrix product for each tap."""
    g, x = gradient.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
    count, channels, *taps = weight.shape
    of_weight = g.new_zeros(count, *taps, channels)  # channels last, as the weights in training
    rows, columns = (
        list(_overlaps(taps[axis], g.shape[axis + 1], x.shape[axis + 1], *geometry))
        for axis, geometry in enumerate(zip(padding, dilation, strict=True))
    )
    for i, here, there in rows:
        for j, across, over in columns:
            met, seen = g[:, here, across], x[:, there, over]
            if met.numel():
                of_weight[:, i, j] = met.reshape(-1, count).T @ seen.reshape(-1, channels)
    return of_weight.permute(0, 3, 1, 2)


def _overlaps(
    taps: int, size: int, seen: int, padding: int, dilation: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap with the outputs of a line at which it meets the map, and what it meets."""
    for tap in range(taps):
        shift = tap * dilation - padding
        begin, end = max(0, -shift), max(0, -shift, min(size, seen - shift))
        yield tap, slice(begin, end), slice(begin + shift, end + shift)
