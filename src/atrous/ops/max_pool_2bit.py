"""Max pooling over 2x2 windows that remembers each winner in 2 bits, and its unpooling.

SegNet keeps which of four pixels was the largest so that its decoder can put features back there,
and counts 2 bits for that (Badrinarayanan, Kendall, Cipolla, TPAMI 2017, Sec. 3.1); torch keeps an
int64. The values, the winners (ties, NaN and -inf included) and the gradients are torch's, bit for
bit. Nothing but the codes is kept for the backward pass, and second derivatives exist.

A code is 2 dy + dx. Four neighbours of a row share a byte, the left one in its lowest bits; the
last byte of a row is filled up with zeros. Two forms compute the same bits:

- torch operations, on any device, in an exported program (which then needs no operator of ours),
  and on the CPU for small maps until a large one comes along;
- compiled kernels for the CPU (`max_pool_2bit_kernel`), loaded with the first large map, since
  numba takes 0.6 s to load, and some seconds more to compile once per machine.
"""

import math
import sys
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.ops.max_pool_2bit_torch import (
    num_bytes,
    pick_with_torch,
    pool_with_torch,
    pooled_size,
    spread_with_torch,
)
from atrous.ops.shares import in_shares

__all__ = ["max_pool_2bit", "max_unpool_2bit"]

KERNEL = "atrous.ops.max_pool_2bit_kernel"
LARGE = 2**22
"""A map with so many elements is worth loading the kernels."""
SMALL = 2**16
"""Below so many elements a second thread costs more than it saves."""

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""What the kernels that only move values take them for, by size."""


def max_pool_2bit(x: Tensor, *, ceil_mode: bool = True) -> tuple[Tensor, Tensor]:
    """Pool 2x2 windows with stride 2 and say which pixel won.

    Args:
        x: (N, C, H, W), floating; NCHW or channels-last in memory, and so are the results.
        ceil_mode: An odd last row or column gets windows of its own, as in Caffe and SegNet;
            False leaves it out, as torch does unless asked.

    Returns:
        Maxima (N, C, h, w) with h = ceil(H / 2), and codes (N, C, h, ceil(w / 4)) uint8. Of equal
        pixels the first in reading order wins, of several NaN the last.

    Raises:
        InputError: Not four dimensions, not floating, or nothing to pool.

    Example:
        >>> pooled, codes = max_pool_2bit(torch.tensor([[[[1.0, 2.0, 0.0], [4.0, 3.0, 0.0]]]]))
        >>> pooled.tolist(), codes.tolist()
        ([[[[4.0, 0.0]]]], [[[[2]]]])
    """
    if x.ndim != 4 or not x.is_floating_point() or min(pooled_size(x, ceil_mode)) < 1:
        raise InputError(
            f"cannot pool {x.dtype} of shape {tuple(x.shape)}; give floating (N, C, H, W) with at "
            f"least {'one pixel' if ceil_mode else 'two rows and columns'}"
        )
    if torch.compiler.is_exporting():
        return pool_with_torch(x, ceil_mode)
    pooled, codes = _pool(x, ceil_mode)
    return pooled, codes


def max_unpool_2bit(x: Tensor, codes: Tensor, size: tuple[int, int]) -> Tensor:
    """Put each value where its window's maximum was; the rest is zero.

    Args:
        x: (N, C, h, w), floating; its memory layout is the result's.
        codes: (N, C, h, ceil(w / 4)) uint8, as `max_pool_2bit` gives them. What a foreign code
            puts outside `size` is lost.
        size: (height, width) before pooling, each 2 h - 1, 2 h or 2 h + 1.

    Returns:
        (N, C, *size).

    Raises:
        InputError: Codes or a size that cannot come from pooling to the shape of `x`.
    """
    height, width = size
    if x.ndim != 4 or not x.is_floating_point():
        raise InputError(
            f"cannot unpool {x.dtype} of shape {tuple(x.shape)}; give floating (N, C, h, w)"
        )
    wanted = (*x.shape[:3], num_bytes(x.shape[3]))
    if codes.dtype != torch.uint8 or tuple(codes.shape) != wanted:
        raise InputError(
            f"codes are {codes.dtype} of shape {tuple(codes.shape)}; values of shape "
            f"{tuple(x.shape)} need uint8 of {wanted}, as max_pool_2bit returned them"
        )
    if torch.compiler.is_exporting():  # where free sizes cannot be compared
        return spread_with_torch(x, codes, height, width)
    if abs(height - 2 * x.shape[2]) > 1 or abs(width - 2 * x.shape[3]) > 1:
        raise InputError(
            f"size is {(height, width)}, but nothing of that size is pooled to "
            f"{tuple(x.shape[2:])}; give the size before pooling"
        )
    y: Tensor = _spread(x, codes, height, width)
    return y


# Three operators: pooling, spreading (unpooling, and the gradient of pooling) and picking (the
# gradient of spreading). Each one's gradient is another of them.


@torch.library.custom_op("atrous::max_pool_2bit", mutates_args=())
def _pool(x: Tensor, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """Return maxima and codes."""
    layout, x = _layout(x), x.detach()
    if x.dtype == torch.float16 or not _has_kernel(x, x.numel()):
        pooled, codes = pool_with_torch(x, ceil_mode)
        return pooled.contiguous(memory_format=layout), codes.contiguous(memory_format=layout)
    from atrous.ops.max_pool_2bit_kernel import pool_lines, pool_lines_bfloat16

    pooled, codes = _pool_results(x, ceil_mode, huge=True)
    kernel = pool_lines
    parts = [x.contiguous(memory_format=layout), pooled]
    if x.dtype == torch.bfloat16:
        kernel = pool_lines_bfloat16
        parts = [part.view(torch.int16) for part in parts]
    _in_threads(kernel, [*parts, codes], layout)
    return pooled, codes


@torch.library.custom_op("atrous::max_unpool_2bit", mutates_args=())
def _spread(x: Tensor, codes: Tensor, height: int, width: int) -> Tensor:
    """Return zeros (N, C, height, width) with each value of `x` in its place."""
    layout, x = _layout(x), x.detach()
    if not _has_kernel(x, 4 * x.numel()):
        return spread_with_torch(x, codes, height, width).contiguous(memory_format=layout)
    from atrous.ops.max_pool_2bit_kernel import spread_lines

    y: Tensor = _spread_result(x, codes, height, width, huge=True)
    bits = BITS[x.itemsize]
    parts = [x.contiguous(memory_format=layout).view(bits), y.view(bits)]
    _in_threads(spread_lines, [*parts, codes.contiguous(memory_format=layout)], layout)
    return y


@torch.library.custom_op("atrous::max_pick_2bit", mutates_args=())
def _pick(y: Tensor, codes: Tensor, width: int) -> Tensor:
    """Return the values (N, C, h, width) of `y` that the codes point at."""
    layout, y = _layout(y), y.detach()
    if not _has_kernel(y, y.numel()):
        return pick_with_torch(y, codes, width).contiguous(memory_format=layout)
    from atrous.ops.max_pool_2bit_kernel import pick_lines

    x: Tensor = _pick_result(y, codes, width, huge=True)
    bits = BITS[y.itemsize]
    parts = [y.contiguous(memory_format=layout).view(bits), x.view(bits)]
    _in_threads(pick_lines, [*parts, codes.contiguous(memory_format=layout)], layout)
    return x


def _pool_results(x: Tensor, ceil_mode: bool, *, huge: bool = False) -> tuple[Tensor, Tensor]:
    height, width = pooled_size(x, ceil_mode)
    pooled = _empty(x, (*x.shape[:2], height, width), x.dtype, huge)
    return pooled, _empty(x, (*x.shape[:2], height, num_bytes(width)), torch.uint8, huge)


def _spread_result(
    x: Tensor, codes: Tensor, height: int, width: int, *, huge: bool = False
) -> Tensor:
    return _empty(x, (*x.shape[:2], height, width), x.dtype, huge)


def _pick_result(y: Tensor, codes: Tensor, width: int, *, huge: bool = False) -> Tensor:
    return _empty(y, (*codes.shape[:3], width), y.dtype, huge)


_pool.register_fake(_pool_results)
_spread.register_fake(_spread_result)
_pick.register_fake(_pick_result)


class _Context(Protocol):
    """What torch hands from a forward to its backward pass."""

    size: tuple[int, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def _keep_for_pool(
    ctx: _Context, inputs: tuple[Tensor, bool], output: tuple[Tensor, Tensor]
) -> None:
    ctx.size = tuple(inputs[0].shape[2:])
    ctx.save_for_backward(output[1])


def _keep_for_spread(
    ctx: _Context, inputs: tuple[Tensor, Tensor, int, int], output: Tensor
) -> None:
    ctx.size = tuple(inputs[0].shape[3:])
    ctx.save_for_backward(inputs[1])


def _keep_for_pick(ctx: _Context, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.size = tuple(inputs[0].shape[2:])
    ctx.save_for_backward(inputs[1])


def _pool_backward(ctx: _Context, gradient: Tensor, _: None) -> tuple[Tensor, None]:
    return _spread(gradient, *ctx.saved_tensors, *ctx.size), None


def _spread_backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    return _pick(gradient, *ctx.saved_tensors, *ctx.size), None, None, None


def _pick_backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None]:
    return _spread(gradient, *ctx.saved_tensors, *ctx.size), None, None


_pool.register_autograd(_pool_backward, setup_context=_keep_for_pool)
_spread.register_autograd(_spread_backward, setup_context=_keep_for_spread)
_pick.register_autograd(_pick_backward, setup_context=_keep_for_pick)


# What leads to the kernels.


def _has_kernel(x: Tensor, elements: int) -> bool:
    """Tell whether `x` and a map of so many elements go through the compiled kernels."""
    known = x.device.type == "cpu" and x.itemsize in BITS
    return known and (elements >= LARGE or KERNEL in sys.modules)


def _in_threads(
    kernel: Callable[..., None], tensors: list[Tensor], layout: torch.memory_format
) -> None:
    """Run a kernel over all lines of windows, shared among torch's number of threads.

    Args:
        kernel: Takes the tensors as arrays of lines, channels, begin and end.
        tensors: All in `layout`; the codes are the last.
        layout: Channels-last has all channels of a pixel in one line.
    """
    arrays = [_lines(tensor, layout) for tensor in tensors]
    channels = tensors[-1].shape[1] if layout == torch.channels_last else 1
    lines = arrays[-1].shape[0] * arrays[-1].shape[1]
    is_small = max(array.size for array in arrays) < SMALL

    def run(begin: int, end: int) -> None:
        kernel(*arrays, channels, begin, end)

    if is_small:
        run(0, lines)
    else:
        in_shares(run, lines)


def _lines(x: Tensor, layout: torch.memory_format) -> np.ndarray:
    """View (N, C, H, W) as (N C, H, W), or in channels-last memory as (N, H, W C)."""
    count, channels, height, width = x.shape
    if layout == torch.channels_last:
        return x.permute(0, 2, 3, 1).reshape(count, height, width * channels).numpy()
    return x.reshape(count * channels, height, width).numpy()


def _layout(x: Tensor) -> torch.memory_format:
    """Return the layout of `x`; NCHW if it has none."""
    dense = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if dense else torch.contiguous_format


def _empty(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype, huge: bool) -> Tensor:
    """Return memory for a result in the layout of `like`.

    With `huge` it is numpy's, which asks Linux for pages of 2 MiB. The first touch of torch's,
    4 KiB at a time, takes ten times as long as unpooling: 36 of 40 ms for 64 MiB on one core.
    """
    layout = _layout(like)
    if not huge:
        return torch.empty(shape, dtype=dtype, device=like.device, memory_format=layout)
    count, channels, height, width = shape
    flat = torch.from_numpy(np.empty(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype)
    if layout == torch.channels_last:
        return flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(shape)
