"""Filtering one number per pixel on the lattice, in compiled code: the mass of a kernel's rows."""

import numpy as np

from atrous.compiling import compiled

__all__ = ["blur_numbers", "own_shares", "slice_numbers", "splat_ones"]


@compiled
def splat_ones(
    vertices: np.ndarray, weights: np.ndarray, begin: int, end: int, values: np.ndarray
) -> None:
    """Add 1 of every pixel to the vertices around it.

    Args:
        vertices: (N, d + 1).
        weights: (N, d + 1).
        begin: First pixel.
        end: Pixel after the last.
        values: (M + 1,) float32, added to.
    """
    for p in range(begin, end):
        for r in range(vertices.shape[1]):
            values[vertices[p, r]] += weights[p, r]


@compiled
def blur_numbers(old: np.ndarray, neighbours: np.ndarray, new: np.ndarray) -> None:
    """Blur (M + 1,) values along one axis with 1/2, 1, 1/2; value 0 stays 0."""
    for v in range(1, old.size):
        sides = old[neighbours[0, v]] + old[neighbours[1, v]]
        new[v] = old[v] + np.float32(0.5) * sides


@compiled
def slice_numbers(
    vertices: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray,
    begin: int,
    end: int,
    numbers: np.ndarray,
) -> None:
    """Write the weighted mean of the vertices around each pixel into (N,) `numbers`."""
    for p in range(begin, end):
        mean = np.float32(0)
        for r in range(vertices.shape[1]):
            mean += weights[p, r] * values[vertices[p, r]]
        numbers[p] = mean


@compiled
def own_shares(
    vertices: np.ndarray,
    weights: np.ndarray,
    neighbours: np.ndarray,
    begin: int,
    end: int,
    shares: np.ndarray,
) -> None:
    """Write what a pixel receives of its own value: splat, blur and slice of that pixel alone.

    The blur leads from one vertex of a simplex to another by steps forward along the axes between
    them, or by steps backward along all others, since a step along every axis is no step at all.
    It takes the axes in their order, and where a vertex on the way is missing, nothing arrives.

    Args:
        vertices: (N, d + 1).
        weights: (N, d + 1).
        neighbours: (d + 1, 2, M + 1), forward and backward along each axis; 0 where missing.
        begin: First pixel.
        end: Pixel after the last.
        shares: (N,), written.
    """
    corners = weights.shape[1]
    between = np.empty(corners, np.int64)
    for p in range(begin, end):
        for axis in range(corners):
            between[axis] = corners - 1  # one axis leads back from the last vertex to the first
            for r in range(corners - 1):
                if neighbours[axis, 0, vertices[p, r]] == vertices[p, r + 1]:
                    between[axis] = r
        share = np.float32(0)
        for r in range(corners):
            for s in range(corners):
                steps = (s - r) % corners
                reach = _follow(neighbours, between, vertices[p, r], r, steps, True)
                reach += _follow(neighbours, between, vertices[p, r], r, steps, False)
                if r == s:  # once around
                    reach += _follow(neighbours, between, vertices[p, r], r, corners, True)
                share += weights[p, r] * weights[p, s] * reach
        shares[p] = share


@compiled
def _follow(
    neighbours: np.ndarray, between: np.ndarray, vertex: int, r: int, steps: int, is_forward: bool
) -> np.float32:
    """Return the share of corner r's value that arrives so many corners on.

    Args:
        neighbours: As in `own_shares`.
        between: (d + 1,) the corner from which each axis leads to the next.
        vertex: Number of corner r.
        r: Where it begins.
        steps: From 0 to d + 1.
        is_forward: Along the axes between, or backward along all others.
    """
    corners = between.size
    share = np.float32(1)
    for axis in range(corners):
        is_on_the_way = (between[axis] - r) % corners < steps
        if is_on_the_way == is_forward:
            vertex = neighbours[axis, 0 if is_forward else 1, vertex]
            share *= np.float32(0.5)
            if vertex == 0:
                return np.float32(0)
    return share
