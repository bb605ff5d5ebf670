"""One mean-field iteration as one pass over the pixels, in compiled code.

For each pixel, while its numbers are in registers: slice the messages of both kernels, apply the
compatibility, take the softmax, and splat the new marginals for the next iteration. Between two
passes the values at the vertices are blurred. No map of messages is ever stored.

Rows hold K labels, padded with zeros (`rows`). The softmax of log P + message is computed as
P exp(message) / sum, which needs no logarithm and keeps the padding at 0.
"""

from typing import Any, NamedTuple

import numpy as np

from atrous.compiling import compiled
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

__all__ = ["Share", "blur", "join_and_blur", "send", "send_keeping", "start"]

AHEAD = 8
"""Pixels from now whose vertices are fetched: the memory takes about as long as they do."""


class Share(NamedTuple):
    """A normalised kernel as one thread sees it."""

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
    """(M + 1, padded K) blurred, to slice from."""
    part: np.ndarray
    """(M + 1, padded K) to splat to; no other thread does."""


@compiled
def start(
    rows: np.ndarray, first: Share, second: Share, begin: int, end: int, shape: tuple[int, ...]
) -> None:
    """Splat the unary's own marginals for the first iteration.

    Args:
        rows: (N, padded K) float32.
        first: One kernel.
        second: The other kernel.
        begin: First pixel.
        end: Pixel after the last.
        shape: See `rows`.
    """
    for p in range(begin, end):
        row = load(rows, p, shape)
        _splat(first, p, row)
        _splat(second, p, row)


@compiled
def send(
    rows: np.ndarray,
    first: Share,
    second: Share,
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
        shape: See `rows`.
    """
    if not is_last:
        first.part[:] = 0
        second.part[:] = 0
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
    first: Share,
    second: Share,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray, np.float32],
    begin: int,
    end: int,
    shape: tuple[int, ...],
) -> Any:
    """Do what `send` does with the last marginals at hand: all that is not everyday.

    Args:
        rows: (N, padded K) the unary.
        first: One kernel.
        second: The other kernel.
        kept: (marginals, own, prices, damping). The last iteration's marginals (N, padded K),
            overwritten by the new ones; (N,) share of its own that a pixel's message loses;
            (K, padded K) minus the price that a neighbour's label puts on every label, or
            (0, padded K) for Potts; share of the last marginals that stays.
        begin: First pixel.
        end: Pixel after the last.
        shape: See `rows`.

    Returns:
        The largest change of a marginal.
    """
    marginals, own, prices, damping = kept
    message_of = np.empty((1, rows.shape[1]), np.float32)
    change = np.float32(0)
    first.part[:] = 0
    second.part[:] = 0
    for p in range(begin, end):
        soon = min(p + AHEAD, end - 1)
        _fetch(first, soon, shape)
        _fetch(second, soon, shape)
        last = load(marginals, p, shape)
        message = _slice(first, p, shape) + _slice(second, p, shape) + -own[p] * last
        if prices.shape[0]:
            store(message_of, 0, message)
            message = zeros(shape)
            for k in range(prices.shape[0]):
                message = message + message_of[0, k] * load(prices, k, shape)
        q = _softmax(load(rows, p, shape), message)
        q = damping * last + (np.float32(1) - damping) * q
        difference = q + np.float32(-1) * last
        change = max(change, highest(maximum(difference, np.float32(-1) * difference)))
        store(marginals, p, q)
        _splat(first, p, q)
        _splat(second, p, q)
    return change


@compiled
def _fetch(kernel: Share, p: int, shape: tuple[int, ...]) -> None:
    """Have the rows of a later pixel's vertices brought near."""
    for r in range(len(kernel.corners)):
        prefetch(kernel.values, kernel.vertices[p, r], shape)
        prefetch(kernel.part, kernel.vertices[p, r], shape)


@compiled
def _slice(kernel: Share, p: int, shape: tuple[int, ...]) -> Any:
    """Return the weighted mean of the vertices around a pixel, times its factor."""
    row = zeros(shape)
    for r in range(len(kernel.corners)):
        row = row + kernel.weights[p, r] * load(kernel.values, kernel.vertices[p, r], shape)
    return kernel.after[p] * row


@compiled
def _softmax(unary: Any, message: Any) -> Any:
    """Return unary exp(message), normalised."""
    q = unary * exponential(message + (-highest(message)))
    return (np.float32(1) / total(q)) * q


@compiled
def _splat(kernel: Share, p: int, q: Any) -> None:
    """Add a pixel's row, times its factor, to the vertices around it."""
    row = kernel.before[p] * q
    for r in range(len(kernel.corners)):
        add_to(kernel.part, kernel.vertices[p, r], kernel.weights[p, r], row)


@compiled
def join_and_blur(
    parts: np.ndarray,
    neighbours: np.ndarray,
    begin: int,
    end: int,
    values: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Add up what the threads splatted, and blur along the first axis.

    Args:
        parts: (T, M + 1, padded K); row 0 stays 0.
        neighbours: (2, M + 1) on both sides along the axis; 0 where there is none.
        begin: First vertex.
        end: Vertex after the last.
        values: (M + 1, padded K), written from `begin` to `end`.
        shape: See `rows`.
    """
    half = np.float32(0.5)
    for v in range(begin, end):
        middle, sides = zeros(shape), zeros(shape)
        for t in range(parts.shape[0]):
            middle = middle + load(parts[t], v, shape)
            sides = sides + load(parts[t], neighbours[0, v], shape)
            sides = sides + load(parts[t], neighbours[1, v], shape)
        store(values, v, middle + half * sides)


@compiled
def blur(
    old: np.ndarray,
    neighbours: np.ndarray,
    begin: int,
    end: int,
    new: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Blur along one axis with weights 1/2, 1, 1/2."""
    half = np.float32(0.5)
    for v in range(begin, end):
        sides = load(old, neighbours[0, v], shape) + load(old, neighbours[1, v], shape)
        store(new, v, load(old, v, shape) + half * sides)
