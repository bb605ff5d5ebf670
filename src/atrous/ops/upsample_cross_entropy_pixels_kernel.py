"""Cross entropy of scores at the labels' own size, in compiled code.

A block is 64 neighbouring pixels of a line; the last ones of a line's last block may be missing.
Its scores come into a small table, which stays in the fastest cache: a row for each class, a column
for each pixel, whatever the order in memory. From there all goes class by class over 32 pixels at
once. bfloat16 is widened on the way in, and rounded on the way out.

Scores count relative to the highest of their pixel, which loss and gradient do not see. Columns of
void are zeros: what stands there, NaN too, does not matter.

A line's sums have a place of their own, so no bit depends on the threads.

Names: `table` is (K, 64), `pixels` (6, 64), a row for each of the facts below; `blocks` is both, in
this order, with 32 numbers in a row for `load`; `own` are the labels, 0 for void.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.ops.bfloat16 import narrowed, widened
from atrous.ops.rows import add_to, exponential, load, maximum, store, zeros
from atrous.ops.series import logarithm, where_positive

__all__ = ["WIDE", "add_losses", "fill_gradient"]

WIDE = (0, 0, 0, 0)
"""Shape of the pixels that are computed at once, in chunks of eight."""
BLOCK, PARTS = 64, 2
"""Pixels in a block, and how often those at once go into it."""
FACTS = 6
LABELLED, SUMS, HITS, TOP, LOSS, SLOPE = range(FACTS)
"""Whether there is a label; its factors; the highest score; what comes out."""
ONE, ZERO = np.float32(1), np.float32(0)


@compiled
def add_losses(
    scores: np.ndarray,
    labels: np.ndarray,
    results: tuple[np.ndarray, np.ndarray, np.ndarray],
    classes: Any,
    share: tuple[int, int],
    shape: tuple[int, ...],
) -> None:
    """Write the sums of some lines.

    Args:
        scores: (N, H, W, K) float32, or uint16 with the bits of bfloat16; any strides.
        labels: (N, H, W) uint8 or int64.
        results: (N H,) float64 losses and weights of the labelled pixels of every line, and int64
            labels that no class has, or that of void; written.
        classes: (K,) weights; (K,) factors of the label's score and of the logarithm of the sum;
            (K,) what smoothing takes of every score; whether it takes anything; the label of void.
        share: First line of the N H, and line after the last.
        shape: `WIDE`.
    """
    height, width, num_classes = scores.shape[1:]
    table, pixels, blocks, own = _tables(num_classes)
    for line in range(share[0], share[1]):
        image, y = line // height, line % height
        loss, weight, wrong = 0.0, 0.0, classes[5]
        for x in range(0, width, BLOCK):
            end = min(x + BLOCK, width)
            part, label = _look_up(labels[image, y, x:end], classes, pixels, own)
            _widen(scores[image, y, x:end], table)
            for i in range(PARTS):
                _lose(blocks, classes, i, shape)
            for p in range(end - x):
                loss += pixels[LOSS, p] - pixels[HITS, p] * (table[own[p], p] - pixels[TOP, p])
            weight += part
            wrong = label if label != classes[5] else wrong
        results[0][line], results[1][line], results[2][line] = loss, weight, wrong


@compiled
def fill_gradient(
    scores: np.ndarray,
    labels: np.ndarray,
    gradient: np.ndarray,
    classes: Any,
    upstream: np.float32,
    share: tuple[int, int],
    shape: tuple[int, ...],
) -> None:
    """Write the gradient of some lines: (N, H, W, K), of the kind of `scores`, times `upstream`.

    The other arguments are those of `add_losses`.
    """
    height, width, num_classes = scores.shape[1:]
    table, pixels, blocks, own = _tables(num_classes)
    for line in range(share[0], share[1]):
        image, y = line // height, line % height
        for x in range(0, width, BLOCK):
            end = min(x + BLOCK, width)
            _look_up(labels[image, y, x:end], classes, pixels, own)
            _widen(scores[image, y, x:end], table)
            for i in range(PARTS):
                _incline(blocks, classes, upstream, i, shape)
            for p in range(end - x):
                table[own[p], p] -= upstream * pixels[HITS, p]
            _narrow(table, gradient[image, y, x:end])


@compiled
def _tables(num_classes: int) -> Any:
    """Return (table, pixels, blocks, own), filled with zeros."""
    table, pixels = np.zeros((num_classes, BLOCK), np.float32), np.zeros((FACTS, BLOCK), np.float32)
    blocks = table.reshape(-1, BLOCK // PARTS), pixels.reshape(-1, BLOCK // PARTS)
    return table, pixels, blocks, np.zeros(BLOCK, np.int64)


@compiled
def _look_up(labels: np.ndarray, classes: Any, pixels: np.ndarray, own: np.ndarray) -> Any:
    """Note what the labels of a block say; return their weight, and a wrong one or that of void."""
    weights, hits, sums, _, _, void = classes
    pixels[:TOP] = 0
    weight, wrong = 0.0, void
    for p in range(labels.size):
        label = np.int64(labels[p])
        own[p] = 0
        if label == void:
            continue
        if label < 0 or label >= weights.size:
            wrong = label
            continue
        own[p] = label
        weight += weights[label]
        pixels[LABELLED, p], pixels[SUMS, p], pixels[HITS, p] = ONE, sums[label], hits[label]
    return weight, wrong


@compiled
def _lose(blocks: Any, classes: Any, part: int, shape: tuple[int, ...]) -> None:
    """Note each pixel's loss but for the score of its label; NaN if a score is not finite."""
    table, pixels = blocks
    smooth, is_smooth = classes[3:5]
    top, flaw = _highest(blocks, part, shape)
    whole, share = zeros(shape), zeros(shape)
    for k in range(smooth.size):
        row = load(table, k * PARTS + part, shape) - top
        whole = whole + exponential(row)
        if is_smooth:
            share = share + smooth[k] * row
    labelled = load(pixels, LABELLED * PARTS + part, shape)
    loss = load(pixels, SUMS * PARTS + part, shape) * logarithm(whole) - labelled * share
    store(pixels, LOSS * PARTS + part, loss + flaw)
    store(pixels, TOP * PARTS + part, top)


@compiled
def _incline(
    blocks: Any, classes: Any, upstream: np.float32, part: int, shape: tuple[int, ...]
) -> None:
    """Put the gradient in place of the scores, but for what the pixel's label adds to its own."""
    table, pixels = blocks
    smooth, is_smooth = classes[3:5]
    top, flaw = _highest(blocks, part, shape)
    whole = zeros(shape)
    for k in range(smooth.size):
        row = exponential(load(table, k * PARTS + part, shape) - top)
        store(table, k * PARTS + part, row)
        whole = whole + row
    factor = (upstream * load(pixels, SUMS * PARTS + part, shape)) / whole + flaw
    labelled = load(pixels, LABELLED * PARTS + part, shape)
    for k in range(smooth.size):
        row = factor * load(table, k * PARTS + part, shape)
        store(table, k * PARTS + part, row)
        if is_smooth:
            add_to(table, k * PARTS + part, -upstream * smooth[k], labelled)


@compiled
def _highest(blocks: Any, part: int, shape: tuple[int, ...]) -> Any:
    """Clear what has no label; return each pixel's highest score, and 0, NaN if not all finite."""
    table, pixels = blocks
    labelled = load(pixels, LABELLED * PARTS + part, shape)
    top = where_positive(labelled, load(table, part, shape), zeros(shape))
    flaw = ZERO * top
    store(table, part, top)
    for k in range(1, table.shape[0] // PARTS):
        row = where_positive(labelled, load(table, k * PARTS + part, shape), zeros(shape))
        store(table, k * PARTS + part, row)
        top = maximum(top, row)
        flaw = flaw + ZERO * row
    return top, flaw


@compiled
def _widen(scores: np.ndarray, table: np.ndarray) -> None:
    """Copy (pixels, K) scores to the table."""
    if scores.itemsize == 2:
        bits = table.view(np.uint32)
        for k in range(scores.shape[1]):
            for p in range(scores.shape[0]):
                bits[k, p] = widened(scores[p, k])
    else:
        for k in range(scores.shape[1]):
            for p in range(scores.shape[0]):
                table[k, p] = scores[p, k]


@compiled
def _narrow(table: np.ndarray, gradient: np.ndarray) -> None:
    """Copy the table to (pixels, K) gradients."""
    if gradient.itemsize == 2:
        bits = table.view(np.uint32)
        for k in range(gradient.shape[1]):
            for p in range(gradient.shape[0]):
                gradient[p, k] = narrowed(bits[k, p])
    else:
        for k in range(gradient.shape[1]):
            for p in range(gradient.shape[0]):
                gradient[p, k] = table[k, p]
