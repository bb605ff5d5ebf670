"""The permutohedral lattice of an image, built by compiled code (Adams et al., EG 2010, Sec. 3).

A pixel's features are lifted onto the hyperplane x . 1 = 0 of R^(d+1), where a lattice of simplices
lies; the pixel belongs to one simplex and is a weighted mean of its d + 1 vertices. Vertex r of a
simplex has integer coordinates that are all r modulo d + 1; the last follows from the others.

A vertex is found by a 64-bit key that is linear in its coordinates, sum_i factor_i c_i, so that a
step along an axis is an addition. The factors make a number in a mixed base where the ranges of the
coordinates allow it, which is nearly always, and are random odd numbers otherwise.

Every thread numbers the vertices of its own pixels; then the tables are joined.
"""

from typing import Any

import numpy as np

from atrous.crf.compiling import compiled
from atrous.crf.packing import place

__all__ = ["BLOCK", "embed", "find_neighbours", "find_slot", "join", "new_table", "renumber"]

BLOCK = 32
"""Pixels that are embedded at a time, so that LLVM computes them in vectors."""
FEW = 4096
"""Vertices that a table begins with; a small table stays in the processor's cache."""
EMPTY = 0
"""A slot of the table without a vertex; vertices count from 1, and row 0 of values stays 0."""


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
    points = np.empty((d, BLOCK), np.float32)
    key = np.empty((BLOCK, d + 1), np.int64)
    scratch = np.empty((3, d + 1, BLOCK), np.float32)
    ranks = np.empty((d + 1, BLOCK), np.int32)
    last = np.zeros(d + 1, np.int32)
    keys = np.zeros(FEW, np.int64)
    table = new_table(FEW)
    count = 0
    for start in range(begin, end, BLOCK):
        size = min(BLOCK, end - start)
        _read_points(image, extra, stds, start, size, points)
        _find_simplices(points, scratch, ranks)
        _write_weights(scratch, ranks, weights[start : start + size])
        _write_keys(scratch[1], ranks, factors, key)
        while count + key.size >= keys.size:
            keys = _longer(keys)
            table = _refilled(keys, count)
        count = _number(table, keys, count, key, last, vertices[start : start + size])
    return keys[: count + 1]


@compiled
def _number(
    table: np.ndarray,
    keys: np.ndarray,
    count: int,
    key: np.ndarray,
    last: np.ndarray,
    vertices: np.ndarray,
) -> Any:
    """Write the numbers of some pixels' vertices; new keys are entered.

    Args:
        table: Slots of the vertices so far, with room.
        keys: Their keys, with room.
        count: Vertices so far.
        key: (at least n, d + 1) keys to find.
        last: (d + 1,) numbers of the pixel before, which are most often those of the next.
        vertices: (n, d + 1), written.

    Returns:
        Vertices from now on.
    """
    for i in range(vertices.shape[0]):
        for r in range(vertices.shape[1]):
            if last[r] == EMPTY or keys[last[r]] != key[i, r]:
                slot = find_slot(table, keys, key[i, r])
                if table[slot] == EMPTY:
                    count += 1
                    keys[count] = key[i, r]
                    table[slot] = count
                last[r] = table[slot]
            vertices[i, r] = last[r]
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
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
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
def _read_points(
    image: np.ndarray,
    extra: np.ndarray,
    stds: np.ndarray,
    start: int,
    size: int,
    points: np.ndarray,
) -> None:
    """Write the features of consecutive pixels, divided by their deviations."""
    height, width, channels = image.shape
    for i in range(size):
        y, x, _ = place(start + i, height, width)
        points[0, i] = x / stds[0]
        points[1, i] = y / stds[1]
        for c in range(channels):
            points[2 + c, i] = image[y, x, c] / stds[2 + c]
        for f in range(extra.shape[0]):
            points[2 + channels + f, i] = extra[f, y, x] / stds[2 + channels + f]


@compiled
def _find_simplices(points: np.ndarray, scratch: np.ndarray, ranks: np.ndarray) -> None:
    """Lift the points; write the residuals, the vertex of remainder 0 and the order of residuals.

    Args:
        points: (d, BLOCK).
        scratch: (3, d + 1, BLOCK), written: lifted points, their nearest vertex 0, residuals.
        ranks: (d + 1, BLOCK), written: how many residuals are larger.
    """
    d = points.shape[0]
    lifted, nearest, residual = scratch[0], scratch[1], scratch[2]
    sums = np.zeros(BLOCK, np.float32)
    for j in range(d, 0, -1):  # E of Adams et al., p. 5, scaled to the deviation of the blur
        scale = np.float32(np.sqrt(2 / 3) * (d + 1) / np.sqrt(j * (j + 1)))
        for i in range(BLOCK):
            coordinate = points[j - 1, i] * scale
            lifted[j, i] = sums[i] - np.float32(j) * coordinate
            sums[i] += coordinate
    off = np.zeros(BLOCK, np.float32)
    for i in range(BLOCK):
        lifted[0, i] = sums[i]
    for j in range(d + 1):
        for i in range(BLOCK):
            turns = np.rint(lifted[j, i] * np.float32(1 / (d + 1)))
            nearest[j, i] = turns * np.float32(d + 1)
            residual[j, i] = lifted[j, i] - nearest[j, i]
            off[i] += turns
    for j in range(d + 1):
        for i in range(BLOCK):
            ranks[j, i] = np.int32(off[i])
        for k in range(d + 1):
            if k < j:  # of equal residuals the first ranks first
                for i in range(BLOCK):
                    ranks[j, i] += np.int32(residual[k, i] >= residual[j, i])
            elif k > j:
                for i in range(BLOCK):
                    ranks[j, i] += np.int32(residual[k, i] > residual[j, i])
    for j in range(d + 1):  # a point that rounding took off the plane comes back
        for i in range(BLOCK):
            turn = np.int32(ranks[j, i] < 0) - np.int32(ranks[j, i] > d)
            ranks[j, i] += turn * np.int32(d + 1)
            nearest[j, i] += np.float32(turn * (d + 1))
            residual[j, i] = lifted[j, i] - nearest[j, i]


@compiled
def _write_weights(scratch: np.ndarray, ranks: np.ndarray, weights: np.ndarray) -> None:
    """Write barycentric coordinates: differences of the sorted residuals."""
    size, vertices = weights.shape
    residual = scratch[2]
    for i in range(size):
        for r in range(vertices):
            weights[i, r] = 0
    down = np.float32(1 / vertices)
    for i in range(size):
        weights[i, 0] = 1
        for j in range(vertices):
            share = residual[j, i] * down
            r = vertices - 1 - ranks[j, i]
            weights[i, r] += share
            weights[i, r + 1 if r + 1 < vertices else 0] -= share


@compiled
def _write_keys(
    nearest: np.ndarray, ranks: np.ndarray, factors: np.ndarray, key: np.ndarray
) -> None:
    """Write the keys of the vertices: from each to the next one coordinate turns back."""
    vertices = factors.size
    step = factors.sum()
    factor_of_rank = np.empty(vertices, np.int64)
    for i in range(BLOCK):
        first = np.int64(0)
        for j in range(vertices):
            first += factors[j] * np.int64(nearest[j, i])
            factor_of_rank[ranks[j, i]] = factors[j]
        for r in range(vertices):
            key[i, r] = first
            first += step - vertices * factor_of_rank[vertices - 1 - r]


@compiled
def join(table: np.ndarray, keys: np.ndarray, count: int, others: np.ndarray) -> Any:
    """Enter the keys of another part's vertices; return the number that each has from now on.

    Args:
        table: Slots for the joined vertices, large enough.
        keys: (at least count + len(others) + 1,) joined keys, written.
        count: Joined vertices so far.
        others: (M + 1,) keys of the part.

    Returns:
        (M + 1,) int32 numbers, and the new count.
    """
    numbers = np.zeros(others.size, np.int32)
    for vertex in range(1, others.size):
        slot = find_slot(table, keys, others[vertex])
        if table[slot] == EMPTY:
            count += 1
            keys[count] = others[vertex]
            table[slot] = count
        numbers[vertex] = table[slot]
    return numbers, count


@compiled
def renumber(vertices: np.ndarray, numbers: np.ndarray, begin: int, end: int) -> None:
    """Replace a part's numbers of vertices by the joined ones."""
    for p in range(begin, end):
        for r in range(vertices.shape[1]):
            vertices[p, r] = numbers[vertices[p, r]]


@compiled
def find_neighbours(table: np.ndarray, keys: np.ndarray, step: int, neighbours: np.ndarray) -> None:
    """Write each vertex's neighbours on both sides along one axis; 0 where there is none.

    Args:
        table: Slots of all vertices.
        keys: (M + 1,).
        step: What one step along the axis adds to a key.
        neighbours: (2, M + 1) int32 of zeros, written.
    """
    for vertex in range(1, keys.size):
        neighbour = table[find_slot(table, keys, keys[vertex] + step)]
        neighbours[0, vertex] = neighbour
        if neighbour != EMPTY:
            neighbours[1, neighbour] = vertex
