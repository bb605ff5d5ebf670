"""The compiled gradients of `conv_depthwise` on the CPU; numba is imported with this module.

Maps lie channels last. Lines are widened to float32 with their channels filled up to whole rows of
16, and all that a line of the image's gradient needs is done for it at once: each tap k of the
weights leads from pixel u of the input to pixel (u + padding - k dilation) / stride of the output,
where that is whole. A line of the output's gradient is laid out with `stride` between its pixels
and zeros elsewhere, so that any stride is walked as if it were 1.

Names: `x` are the convolved maps, `g` the gradient of what came out; B rows make the channels of a
pixel.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.ops.bfloat16 import narrowed, widened
from atrous.ops.rows import add_to, load, store, zeros

__all__ = ["CHANNELS", "ROW", "fill_gradients"]

ROW = (0, 0)
"""Shape of the channels that are computed at once, in chunks of eight."""
CHANNELS = 16
"""As many."""
TAPS = 3
"""Along each axis."""
ONE = np.float32(1)


@compiled
def fill_gradients(
    maps: Any,
    weight: np.ndarray,
    results: Any,
    geometry: Any,
    share: tuple[int, int],
    shape: tuple[int, ...],
) -> None:
    """Write the gradients of some bands of lines.

    Args:
        maps: x (N, H, W, C) and g (N, h, w, C), float32, or uint16 with the bits of bfloat16.
        weight: (9, 16 B) float32, zero beyond C.
        results: The gradient of x, like x, and of the weights (bands, 9, 16 B) float32, zeros; each
            band of the N H lines has sums of its own, so that no bit depends on the threads.
        geometry: Stride, padding and dilation, (vertical, horizontal) each.
        share: First band, and band after the last.
        shape: `ROW`.
    """
    (x, g), (of_x, of_weight) = maps, results
    stride, padding, dilation = geometry
    height, width = x.shape[1:3]
    bands, _, channels = of_weight.shape
    lines = x.shape[0] * height
    seen, summed = _line(width, channels), _line(width, channels)
    spread = _line(width + 2 * dilation[1], channels)
    origin = 2 * dilation[1] - padding[1]  # where the first pixel of g lies in `spread`
    first = -(min(origin, 0) // stride[1])
    end = min(g.shape[2], -(-(spread.shape[0] - origin) // stride[1]))
    for band in range(share[0], share[1]):
        for line in range(band * lines // bands, (band + 1) * lines // bands):
            image, y = line // height, line % height
            _widen(x[image, y], seen, 0, 1)
            summed[:] = 0
            for tap in range(TAPS):
                above = y + padding[0] - tap * dilation[0]
                row = above // stride[0]
                if above % stride[0] == 0 and 0 <= row < g.shape[1] and first < end:
                    place = origin + first * stride[1]
                    _widen(g[image, row, first:end], spread, place, stride[1])
                    _meet(seen, spread, summed, weight, of_weight[band], tap, dilation[1], shape)
            _narrow(summed, of_x[image, y])


@compiled
def _line(pixels: int, channels: int) -> np.ndarray:
    return np.zeros((pixels, channels), np.float32)


@compiled
def _meet(
    seen: np.ndarray,
    spread: np.ndarray,
    summed: np.ndarray,
    weight: np.ndarray,
    of_weight: np.ndarray,
    tap: int,
    dilation: int,
    shape: tuple[int, ...],
) -> None:
    """Add what a line of `spread` gives to a line's gradient, and to that of a row of taps."""
    width, rows = summed.shape[0], summed.shape[1] // CHANNELS
    for b in range(rows):
        left = TAPS * tap * rows + b
        middle, right = left + rows, left + 2 * rows
        w0, w1, w2 = (
            load(weight, left, shape),
            load(weight, middle, shape),
            load(weight, right, shape),
        )
        sum0, sum1, sum2 = zeros(shape), zeros(shape), zeros(shape)
        for x in range(width):
            i = x * rows + b
            value = load(seen, i, shape)
            g0 = load(spread, i + 2 * dilation * rows, shape)
            g1 = load(spread, i + dilation * rows, shape)
            g2 = load(spread, i, shape)
            store(summed, i, load(summed, i, shape) + w0 * g0 + w1 * g1 + w2 * g2)
            sum0 = sum0 + value * g0
            sum1 = sum1 + value * g1
            sum2 = sum2 + value * g2
        add_to(of_weight, left, ONE, sum0)
        add_to(of_weight, middle, ONE, sum1)
        add_to(of_weight, right, ONE, sum2)


@compiled
def _widen(pixels: np.ndarray, line: np.ndarray, first: int, step: int) -> None:
    """Copy (w, C) to every `step`-th pixel of a line from `first` on."""
    if pixels.itemsize == 2:
        bits = line.view(np.uint32)
        for p in range(pixels.shape[0]):
            source, target = pixels[p], bits[first + p * step]
            for c in range(source.size):
                target[c] = widened(source[c])
    else:
        for p in range(pixels.shape[0]):
            line[first + p * step, : pixels.shape[1]] = pixels[p]


@compiled
def _narrow(line: np.ndarray, pixels: np.ndarray) -> None:
    """Copy a line to (w, C)."""
    if pixels.itemsize == 2:
        bits = line.view(np.uint32)
        for p in range(pixels.shape[0]):
            source, target = bits[p], pixels[p]
            for c in range(target.size):
                target[c] = narrowed(source[c])
    else:
        for p in range(pixels.shape[0]):
            pixels[p] = line[p, : pixels.shape[1]]
