"""The forms of `max_pool_2bit` that torch operations make up: any device, dtype and compiler.

Only strided slices and padding, since an exporter cannot compare or divide sizes left free.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["num_bytes", "pick_with_torch", "pool_with_torch", "pooled_size", "spread_with_torch"]


def pool_with_torch(x: Tensor, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """Return maxima and codes; what lies outside of (N, C, H, W) never wins."""
    x = _resized(x, *(2 * side for side in pooled_size(x, ceil_mode)), fill=-math.inf)
    best = x[..., ::2, ::2]
    code = torch.zeros_like(best, dtype=torch.uint8)
    for number in (1, 2, 3):
        rival = x[..., number // 2 :: 2, number % 2 :: 2]
        wins = (rival > best) | rival.isnan()
        best = torch.where(wins, rival, best)
        code = torch.where(wins, number, code)
    return best, _packed(code)


def spread_with_torch(x: Tensor, codes: Tensor, height: int, width: int) -> Tensor:
    """Return zeros (N, C, height, width) with each value of `x` in its place."""
    code = _unpacked(codes, x.shape[3])
    count, channels, rows, columns = x.shape
    y = x.new_zeros(count, channels, 2 * rows, 2 * columns)
    for number in range(4):
        y[..., number // 2 :: 2, number % 2 :: 2] = torch.where(code == number, x, 0.0)
    return _resized(y, height, width, fill=0.0)


def pick_with_torch(y: Tensor, codes: Tensor, width: int) -> Tensor:
    """Return the values (N, C, h, width) of `y` that the codes point at, zero outside."""
    code = _unpacked(codes, width)
    y = _resized(y, 2 * codes.shape[2], 2 * width, fill=0.0)
    x = y[..., ::2, ::2]
    for number in (1, 2, 3):
        x = torch.where(code == number, y[..., number // 2 :: 2, number % 2 :: 2], x)
    return x


def pooled_size(x: Tensor, ceil_mode: bool) -> tuple[int, int]:
    """Return (h, w), each half of `x`'s side, rounded up or down."""
    height, width = x.shape[-2:]
    return (height + ceil_mode) // 2, (width + ceil_mode) // 2


def num_bytes(width: int) -> int:
    """Return how many bytes hold the codes of a row."""
    return (width + 3) // 4


def _resized(x: Tensor, height: int, width: int, *, fill: float) -> Tensor:
    """Crop or fill up (N, C, H, W) at the right and at the bottom."""
    return functional.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]), value=fill)


def _packed(code: Tensor) -> Tensor:
    """Put codes (N, C, h, w) of 0 to 3 into (N, C, h, ceil(w / 4)) bytes."""
    code = _resized(code, code.shape[2], 4 * num_bytes(code.shape[3]), fill=0)
    return code[..., ::4] | code[..., 1::4] << 2 | code[..., 2::4] << 4 | code[..., 3::4] << 6


def _unpacked(codes: Tensor, width: int) -> Tensor:
    """Return the codes (N, C, h, width), 0 to 3."""
    code = codes.new_empty(*codes.shape[:3], 4 * codes.shape[3])
    for place in range(4):
        code[..., place::4] = codes >> 2 * place & 3
    return _resized(code, code.shape[2], width, fill=0)
