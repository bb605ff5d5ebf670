"""One mean-field iteration as one pass over the pixels, in compiled code.

For each pixel, while its numbers are in registers: slice the messages of both kernels, apply the
compatibility, take the softmax, and splat the new marginals for the next iteration. Between two
passes the values at the vertices are blurred. No map of messages is ever stored.

Rows hold K labels, padded with zeros (`row_shapes`). The softmax of log P + message is computed as
P exp(message) / sum, which needs no logarithm and keeps the padding at 0.
"""

from typing import Any, NamedTuple

import numpy as np

from atrous.compiling import compiled
from atrous.ops.packed_rows import load_packed, store_packed
from atrous.ops.rows import (
    add_to,
    exponential,
    highest,
    load,
    maximum,
    prefetch,
    store,
    total,
    zeros,
)

__all__ = ["Turn", "send", "send_keeping", "start"]

AHEAD = 8
"""Pixels from now whose vertices are fetched: the memory takes about as long as they do."""


class Turn(NamedTuple):
    """A normalised kernel in one iteration: what it slices from, and splats to."""

    corners: tuple[int, ...]
    """d + 1 zeros: a tuple's length is known when a function is compiled."""
    vertices: np.ndarray
    """(N, d + 1) around every pixel."""
    weights: np.ndarray
    """(N, d + 1) of these vertices."""
    before: np.ndarray
    """(N,) factor of each pixel before the filter."""
    after: np.ndarray
    """(N,) factor after it, times the kernel's weight."""
    values: np.ndarray
    """(2R + 2, padded K); both rows of a vertex lie together, as a pixel needs both."""
    turn: int
    """Row 2 v + turn of vertex v is to slice from, the other of the two to splat to."""


@compiled
def start(
    rows: np.ndarray, first: Turn, second: Turn, begin: int, end: int, shape: tuple[int, ...]
) -> None:
    """Splat the unary's own marginals for the first iteration.

    Args:
        rows: (N, padded K) float32.
        first: One kernel.
        second: The other kernel.
        begin: First pixel.
        end: Pixel after the last.
        shape: See `row_shapes`.
    """
    for p in range(begin, end):
        row = load(rows, p, shape)
        _splat(first, p, row)
        _splat(second, p, row)


@compiled
def send(
    rows: np.ndarray,
    first: Turn,
    second: Turn,
    begin: int,
    end: int,
    is_last: bool,
    shape: tuple[int, ...],
) -> None:
    """Slice, take the softmax, splat; two pixels at a time, which a processor can overlap.

    Args:
        rows: (N, padded K) the unary; the last iteration writes the marginals there.
        first: One kernel.
        second: The other kernel.
        begin: First pixel.
        end: Pixel after the last.
        is_last: Store instead of splatting.
        shape: See `row_shapes`.
    """
    for p in range(begin, end, 2):
        pair = min(p + 1, end - 1)
        for soon in range(min(p + AHEAD, end - 2), min(p + AHEAD + 2, end)):
            _fetch(first, soon, shape)
            _fetch(second, soon, shape)
        message = _slice(first, p, shape) + _slice(second, p, shape)
        message_of_pair = _slice(first, pair, shape) + _slice(second, pair, shape)
        q = _softmax(load(rows, p, shape), message)
        q_of_pair = _softmax(load(rows, pair, shape), message_of_pair)
        if is_last:
            store(rows, p, q)
            store(rows, pair, q_of_pair)
        else:
            _splat(first, p, q)
            _splat(second, p, q)
            if pair > p:
                _splat(first, pair, q_of_pair)
                _splat(second, pair, q_of_pair)


@compiled
def send_keeping(
    rows: np.ndarray,
    first: Turn,
    second: Turn,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray, np.float32],
    begin: int,
    end: int,
    is_last: bool,
    shape: tuple[int, ...],
) -> Any:
    """Do what `send` does, and all that is not everyday.

    Args:
        rows: (N, padded K) the unary; where no marginals are kept, the last iteration writes them
            there.
        first: One kernel.
        second: The other kernel.
        kept: (marginals, own, prices, damping). The last iteration's marginals (N, K), overwritten
            by the new ones, or (0, K) where nothing asks for them; (N,) share of its own that a
            pixel's message loses, or (0,); (K, padded K) minus the price that a neighbour's label
            puts on every label, or (0, padded K) for Potts; share of the last marginals that stays.
        begin: First pixel.
        end: Pixel after the last.
        is_last: Store instead of splatting, where no marginals are kept.
        shape: See `row_shapes`.

    Returns:
        The largest change of a marginal; 0 where none are kept.
    """
    marginals, own, prices, damping = kept
    message_of = np.empty((1, rows.shape[1]), np.float32)
    change = np.float32(0)
    for p in range(begin, end):
        soon = min(p + AHEAD, end - 1)
        _fetch(first, soon, shape)
        _fetch(second, soon, shape)
        message = _slice(first, p, shape) + _slice(second, p, shape)
        last = load_packed(marginals, p, shape) if marginals.shape[0] else zeros(shape)
        if own.shape[0]:
            message = message + -own[p] * last
        if prices.shape[0]:
            store(message_of, 0, message)
            message = zeros(shape)
            for k in range(prices.shape[0]):
                message = message + message_of[0, k] * load(prices, k, shape)
        q = _softmax(load(rows, p, shape), message)
        if marginals.shape[0]:
            q = damping * last + (np.float32(1) - damping) * q
            difference = q + np.float32(-1) * last
            change = max(change, highest(maximum(difference, np.float32(-1) * difference)))
            store_packed(marginals, p, q)
        elif is_last:
            store(rows, p, q)
        _splat(first, p, q)
        _splat(second, p, q)
    return change


@compiled
def _fetch(kernel: Turn, p: int, shape: tuple[int, ...]) -> None:
    """Have the rows of a later pixel's vertices brought near."""
    for r in range(len(kernel.corners)):
        prefetch(kernel.values, kernel.vertices[p, r], shape + shape)


@compiled
def _slice(kernel: Turn, p: int, shape: tuple[int, ...]) -> Any:
    """Return the weighted mean of the vertices around a pixel, times its factor."""
    row = zeros(shape)
    for r in range(len(kernel.corners)):
        place = 2 * kernel.vertices[p, r] + kernel.turn
        row = row + kernel.weights[p, r] * load(kernel.values, place, shape)
    return kernel.after[p] * row


@compiled
def _softmax(unary: Any, message: Any) -> Any:
    """Return unary exp(message), normalised."""
    q = unary * exponential(message + (-highest(message)))
    return (np.float32(1) / total(q)) * q


@compiled
def _splat(kernel: Turn, p: int, q: Any) -> None:
    """Add a pixel's row, times its factor, to the vertices around it."""
    row = kernel.before[p] * q
    for r in range(len(kernel.corners)):
        place = 2 * kernel.vertices[p, r] + 1 - kernel.turn
        add_to(kernel.values, place, kernel.weights[p, r], row)
