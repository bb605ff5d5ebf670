"""Building the permutohedral lattice of an image in compiled code: numbering its vertices.

A vertex is found by a 64-bit key that is linear in its coordinates, sum_i factor_i c_i, so that a
step along an axis is an addition. The factors make a number in a mixed base where the ranges of the
coordinates allow it, which is nearly always, and are random odd numbers otherwise.

Every thread numbers the vertices of its own pixels, and those numbers follow each other: a vertex
that two threads' pixels touch has two numbers, of which the later one is a copy. So a thread splats
and slices in memory of its own, and copies are added up before the blur.
"""

from typing import Any

import numpy as np

from atrous.compiling import compiled
from atrous.crf.simplices import (
    BLOCK,
    find_keys,
    find_simplices,
    find_weights,
    lift,
    order_by_rank,
    read_points,
)

__all__ = ["ABSENT", "embed", "find_slot", "join", "new_table", "renumber"]

FEW = 4096
"""Vertices that a table begins with; a small table stays in the processor's cache."""
RECENT_BITS = 12
"""2 to this power is how many vertices are remembered besides: more no longer fit the cache."""
MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: a multiplication by it spreads keys (Knuth's hash)."""
EMPTY = 0
"""A slot of the table without a vertex; vertices count from 1."""
ABSENT = -(2**63)
"""The key of a vertex that the table does not hold: a copy; no vertex has it."""


@compiled
def embed(
    image: np.ndarray,
    extra: np.ndarray,
    stds: np.ndarray,
    factors: np.ndarray,
    begin: int,
    end: int,
    vertices: np.ndarray,
    weights: np.ndarray,
) -> Any:
    """Number the vertices of some pixels and write where each pixel lies among them.

    Args:
        image: (H, W, C) uint8.
        extra: (F, H, W) float32; F may be 0.
        stds: (2 + C + F,) float32 standard deviations of x, y, channels, features.
        factors: (d + 1,) int64 of the keys; the last is 0.
        begin: First pixel.
        end: Pixel after the last.
        vertices: (N, d + 1) int32, written between `begin` and `end`: numbers from 1.
        weights: (N, d + 1) float32, written there: barycentric coordinates, summing to 1.

    Returns:
        keys (M + 1,) by number, the first unused.
    """
    d = stds.size
    points = np.zeros((d, BLOCK), np.float32)  # a last block that is not full computes them too
    key, factor_at = np.empty((d + 1, BLOCK), np.int64), np.empty((d + 1, BLOCK), np.int64)
    lifted, nearest = np.empty((d + 1, BLOCK), np.float32), np.empty((d + 1, BLOCK), np.float32)
    residual, ordered = np.empty_like(lifted), np.empty_like(lifted)
    weight = np.empty_like(lifted)
    ranks = np.empty((d + 1, BLOCK), np.int32)
    recent = np.zeros(2**RECENT_BITS, np.int64), np.zeros(2**RECENT_BITS, np.int32)
    keys = np.zeros(FEW, np.int64)
    table = new_table(FEW)
    count = 0
    for start in range(begin, end, BLOCK):
        size = min(BLOCK, end - start)
        read_points(image, extra, stds, start, size, points)
        lift(points, lifted)
        find_simplices(lifted, nearest, residual, ranks)
        order_by_rank(residual, ranks, factors, ordered, factor_at)
        find_weights(ordered, weight)
        find_keys(nearest, factors, factor_at, key)
        for i in range(size):
            for r in range(d + 1):
                weights[start + i, r] = weight[r, i]
        while count + key.size >= keys.size:
            keys = _longer(keys)
            table = _refilled(keys, count)
        count = _number(table, keys, count, key, recent, vertices[start : start + size])
    return keys[: count + 1]


@compiled
def _number(
    table: np.ndarray,
    keys: np.ndarray,
    count: int,
    key: np.ndarray,
    recent: tuple[np.ndarray, np.ndarray],
    vertices: np.ndarray,
) -> Any:
    """Write the numbers of some pixels' vertices; new keys are entered.

    Args:
        table: Slots of the vertices so far, with room.
        keys: Their keys, with room.
        count: Vertices so far.
        key: (d + 1, at least n) keys to find.
        recent: (2^RECENT_BITS,) keys seen lately, by their hash, and their numbers, EMPTY where
            none is. A pixel's vertices are most often those of a neighbour.
        vertices: (n, d + 1), written.

    Returns:
        Vertices from now on.
    """
    recent_keys, recent_numbers = recent
    for i in range(vertices.shape[0]):
        for r in range(vertices.shape[1]):
            this = key[r, i]
            mixed = np.uint64(this) * MIX
            near = mixed >> np.uint64(64 - RECENT_BITS)
            if recent_keys[near] != this or recent_numbers[near] == EMPTY:
                slot = find_slot(table, keys, this)
                if table[slot] == EMPTY:
                    count += 1
                    keys[count] = this
                    table[slot] = count
                recent_keys[near] = this
                recent_numbers[near] = table[slot]
            vertices[i, r] = recent_numbers[near]
    return count


@compiled
def new_table(entries: int) -> Any:
    """Return an empty table of at least twice as many slots, a power of two."""
    size = 1024
    while size < 2 * entries:
        size *= 2
    return np.zeros(size, np.int32)


@compiled
def find_slot(table: np.ndarray, keys: np.ndarray, key: int) -> Any:
    """Return the slot of a key, or the empty one where it belongs."""
    mask = np.uint64(table.size - 1)
    mixed = np.uint64(key) * MIX
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while table[slot] != EMPTY and keys[table[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _longer(keys: np.ndarray) -> Any:
    longer = np.zeros(2 * keys.size, np.int64)
    for vertex in range(keys.size):  # a slice would compile two seconds longer
        longer[vertex] = keys[vertex]
    return longer


@compiled
def _refilled(keys: np.ndarray, count: int) -> Any:
    """Return a new table with the first keys in it."""
    table = new_table(keys.size)
    for vertex in range(1, count + 1):
        table[find_slot(table, keys, keys[vertex])] = vertex
    return table


@compiled
def join(table: np.ndarray, keys: np.ndarray, first: int, others: np.ndarray) -> Any:
    """Enter the keys of another part's vertices; those that are there already are copies.

    Args:
        table: Slots of the parts before, with room.
        keys: (at least first + M,) keys by number; the part's are written, ABSENT for copies.
        first: Number of the part's first vertex.
        others: (M + 1,) keys of the part, the first unused.

    Returns:
        (C, 2) int32 numbers: of each copy, and of the vertex that it is a copy of.
    """
    copies = np.empty((others.size, 2), np.int32)
    count = 0
    for i in range(1, others.size):
        vertex = first + i - 1
        slot = find_slot(table, keys, others[i])
        if table[slot] == EMPTY:
            table[slot] = vertex
            keys[vertex] = others[i]
        else:
            copies[count, 0] = vertex
            copies[count, 1] = table[slot]
            keys[vertex] = ABSENT
            count += 1
    return copies[:count]


@compiled
def renumber(vertices: np.ndarray, first: int, begin: int, end: int) -> None:
    """Let the vertices of some pixels count from `first` instead of 1."""
    for p in range(begin, end):
        for r in range(vertices.shape[1]):
            vertices[p, r] += first - 1
