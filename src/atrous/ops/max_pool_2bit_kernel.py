"""The compiled forms of `max_pool_2bit` on the CPU; numba is imported with this module.

Maps come as lines: (planes, height, width) of NCHW memory with one channel, or (images, height,
width * channels) of channels-last memory. A kernel takes the lines of windows from `begin` to
`end`, so that threads can share them, and releases the GIL. Each inner loop writes to one or two
arrays only: with more, LLVM gives up proving that they do not overlap, and vectorises nothing.
"""

import numba
import numpy as np

from atrous.compiling import compiled

__all__ = ["pick_lines", "pool_lines", "pool_lines_bfloat16", "spread_lines"]


@compiled
def pool_lines(
    x: np.ndarray, pooled: np.ndarray, codes: np.ndarray, channels: int, begin: int, end: int
) -> None:
    """Write maxima and codes of some lines of windows.

    Args:
        x: (P, H, W C) float32 or float64.
        pooled: (P, h, w C), written; h is H / 2 rounded up or down.
        codes: (P, h, ceil(w / 4) C) uint8, written.
        channels: C, 1 in NCHW memory.
        begin: First of the P h lines.
        end: Line after the last.
    """
    height, rows = x.shape[1], pooled.shape[1]
    nothing = np.full(x.shape[2], -np.inf, x.dtype)  # below the image; never wins
    code = np.zeros(4 * codes.shape[2], np.uint8)
    for line in range(begin, end):
        plane, row = line // rows, line % rows
        lower = x[plane, 2 * row + 1] if 2 * row + 1 < height else nothing
        if channels == 1:
            _pool_line(x[plane, 2 * row], lower, pooled[plane, row], code)
            _pack(code, codes[plane, row])
        else:
            codes[plane, row] = 0
            _pool_cells(x[plane, 2 * row], lower, pooled[plane, row], codes[plane, row], channels)


@compiled
def pool_lines_bfloat16(
    x: np.ndarray, pooled: np.ndarray, codes: np.ndarray, channels: int, begin: int, end: int
) -> None:
    """Do what `pool_lines` does for bfloat16 given as int16: the upper halves of float32."""
    height, rows = x.shape[1], pooled.shape[1]
    nothing = np.full(x.shape[2], -np.inf, np.float32)
    code = np.zeros(4 * codes.shape[2], np.uint8)
    upper, lower = np.empty(x.shape[2], np.int32), np.empty(x.shape[2], np.int32)
    best = np.empty(pooled.shape[2], np.float32)
    for line in range(begin, end):
        plane, row = line // rows, line % rows
        _widen(x[plane, 2 * row], upper)
        below = nothing
        if 2 * row + 1 < height:
            _widen(x[plane, 2 * row + 1], lower)
            below = lower.view(np.float32)
        if channels == 1:
            _pool_line(upper.view(np.float32), below, best, code)
            _pack(code, codes[plane, row])
        else:
            codes[plane, row] = 0
            _pool_cells(upper.view(np.float32), below, best, codes[plane, row], channels)
        _narrow(best.view(np.int32), pooled[plane, row])


@compiled
def spread_lines(
    x: np.ndarray, y: np.ndarray, codes: np.ndarray, channels: int, begin: int, end: int
) -> None:
    """Write the lines of `y` that belong to some lines of windows: values of `x`, else zeros.

    Args:
        x: (P, h, w C) integers.
        y: (P, H, W C) of the same kind, written.
        codes: (P, h, ceil(w / 4) C) uint8.
        channels: C, 1 in NCHW memory.
        begin: First of the P h lines.
        end: Line after the last.
    """
    height, rows = y.shape[1], x.shape[1]
    code = np.zeros(4 * codes.shape[2], np.uint8)
    for line in range(begin, end):
        plane, row = line // rows, line % rows
        if channels == 1:
            _unpack(codes[plane, row], code)
        for down in range(min(2, height - 2 * row)):
            target = y[plane, 2 * row + down]
            if channels == 1:
                _spread_line(x[plane, row], code, target, 2 * down)
            else:
                _spread_cells(x[plane, row], codes[plane, row], target, 2 * down, channels)
        if row == rows - 1 and height > 2 * rows:
            y[plane, 2 * rows] = 0


@compiled
def pick_lines(
    y: np.ndarray, x: np.ndarray, codes: np.ndarray, channels: int, begin: int, end: int
) -> None:
    """Write some lines of `x`: the values of `y` that the codes point at; shapes as above."""
    height, rows = y.shape[1], x.shape[1]
    nothing = np.zeros(y.shape[2], y.dtype)
    code = np.zeros(4 * codes.shape[2], np.uint8)
    for line in range(begin, end):
        plane, row = line // rows, line % rows
        lower = y[plane, 2 * row + 1] if 2 * row + 1 < height else nothing
        if channels == 1:
            _unpack(codes[plane, row], code)
            _pick_line(y[plane, 2 * row], lower, code, x[plane, row])
        else:
            _pick_cells(y[plane, 2 * row], lower, codes[plane, row], x[plane, row], channels)


# One line of windows in NCHW memory: (W,) and (w,) arrays, one byte per code.


@numba.njit(nogil=True)
def _pool_line(upper: np.ndarray, lower: np.ndarray, pooled: np.ndarray, code: np.ndarray) -> None:
    pairs = min(upper.size // 2, pooled.size)
    for j in range(pairs):
        best, number = _winner(upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1])
        pooled[j] = best
        code[j] = number
    if pairs < pooled.size:  # half a window at the right
        best, number = _winner(upper[-1], -np.inf, lower[-1], -np.inf)
        pooled[-1] = best
        code[pairs] = number


@numba.njit(nogil=True)
def _spread_line(values: np.ndarray, code: np.ndarray, target: np.ndarray, first: int) -> None:
    nothing = values.dtype.type(0)
    pairs = min(target.size // 2, values.size)
    for j in range(pairs):
        target[2 * j] = values[j] if code[j] == first else nothing
        target[2 * j + 1] = values[j] if code[j] == first + 1 else nothing
    if target.size > 2 * pairs:
        inside = pairs < values.size and code[pairs] == first
        target[-1] = values[-1] if inside else nothing


@numba.njit(nogil=True)
def _pick_line(upper: np.ndarray, lower: np.ndarray, code: np.ndarray, values: np.ndarray) -> None:
    pairs = min(upper.size // 2, values.size)
    for j in range(pairs):
        values[j] = _picked(upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1], code[j])
    if pairs < values.size:
        nothing = values.dtype.type(0)
        values[-1] = _picked(upper[-1], nothing, lower[-1], nothing, code[pairs])


# One line of windows in channels-last memory: cell j of C channels begins at j C.


@numba.njit(nogil=True)
def _pool_cells(
    upper: np.ndarray, lower: np.ndarray, pooled: np.ndarray, codes: np.ndarray, channels: int
) -> None:
    pairs = min(upper.size // (2 * channels), pooled.size // channels)
    for j in range(pairs):
        a, b = _cell(upper, 2 * j, channels), _cell(upper, 2 * j + 1, channels)
        c, d = _cell(lower, 2 * j, channels), _cell(lower, 2 * j + 1, channels)
        target, packed = _cell(pooled, j, channels), _cell(codes, j // 4, channels)
        for k in range(channels):
            best, number = _winner(a[k], b[k], c[k], d[k])
            target[k] = best
            packed[k] |= number << 2 * (j % 4)
    for k in range(pooled.size - pairs * channels):  # half a window at the right
        left = 2 * pairs * channels + k
        best, number = _winner(upper[left], -np.inf, lower[left], -np.inf)
        pooled[pairs * channels + k] = best
        codes[pairs // 4 * channels + k] |= number << 2 * (pairs % 4)


@numba.njit(nogil=True)
def _spread_cells(
    values: np.ndarray, codes: np.ndarray, target: np.ndarray, first: int, channels: int
) -> None:
    nothing = values.dtype.type(0)
    cells, width = values.size // channels, target.size // channels
    for j in range(cells):
        value, packed = _cell(values, j, channels), _cell(codes, j // 4, channels)
        for right in range(min(2, width - 2 * j)):
            written = _cell(target, 2 * j + right, channels)
            for k in range(channels):
                here = packed[k] >> 2 * (j % 4) & 3 == first + right
                written[k] = value[k] if here else nothing
    target[2 * cells * channels :] = nothing


@numba.njit(nogil=True)
def _pick_cells(
    upper: np.ndarray, lower: np.ndarray, codes: np.ndarray, values: np.ndarray, channels: int
) -> None:
    cells = values.size // channels
    pairs = min(upper.size // (2 * channels), cells)
    for j in range(pairs):
        a, b = _cell(upper, 2 * j, channels), _cell(upper, 2 * j + 1, channels)
        c, d = _cell(lower, 2 * j, channels), _cell(lower, 2 * j + 1, channels)
        target, packed = _cell(values, j, channels), _cell(codes, j // 4, channels)
        for k in range(channels):
            target[k] = _picked(a[k], b[k], c[k], d[k], packed[k] >> 2 * (j % 4))
    nothing = values.dtype.type(0)
    for k in range((cells - pairs) * channels):
        left, code = 2 * pairs * channels + k, codes[pairs // 4 * channels + k] >> 2 * (pairs % 4)
        values[pairs * channels + k] = _picked(upper[left], nothing, lower[left], nothing, code)


# The four pixels of a window: upper left and right, lower left and right.


@numba.njit(nogil=True, inline="always")
def _winner(a: float, b: float, c: float, d: float) -> tuple[float, np.uint8]:
    """Return the largest and its code: the first of equals, the last NaN, as torch decides."""
    best, number = a, np.uint8(0)
    if (b > best) | (b != b):  # only NaN differs from itself
        best, number = b, np.uint8(1)
    if (c > best) | (c != c):
        best, number = c, np.uint8(2)
    if (d > best) | (d != d):
        best, number = d, np.uint8(3)
    return best, number


@numba.njit(nogil=True, inline="always")
def _picked(a: int, b: int, c: int, d: int, code: int) -> int:
    above = b if code & 1 else a
    below = d if code & 1 else c
    return below if code & 2 else above


@numba.njit(nogil=True, inline="always")
def _cell(line: np.ndarray, number: int, channels: int) -> np.ndarray:
    return line[number * channels : (number + 1) * channels]


# Four codes to a byte, the left one lowest.


@numba.njit(nogil=True)
def _pack(code: np.ndarray, packed: np.ndarray) -> None:
    for j in range(packed.size):
        low = code[4 * j] | code[4 * j + 1] << 2
        packed[j] = low | code[4 * j + 2] << 4 | code[4 * j + 3] << 6


@numba.njit(nogil=True)
def _unpack(packed: np.ndarray, code: np.ndarray) -> None:
    for j in range(packed.size):
        code[4 * j] = packed[j] & 3
        code[4 * j + 1] = packed[j] >> 2 & 3
        code[4 * j + 2] = packed[j] >> 4 & 3
        code[4 * j + 3] = packed[j] >> 6


# A bfloat16 is the upper half of a float32.


@numba.njit(nogil=True)
def _widen(halves: np.ndarray, whole: np.ndarray) -> None:
    for j in range(halves.size):
        whole[j] = np.int32(halves[j]) << 16


@numba.njit(nogil=True)
def _narrow(whole: np.ndarray, halves: np.ndarray) -> None:
    for j in range(halves.size):
        halves[j] = whole[j] >> 16
