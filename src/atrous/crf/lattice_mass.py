"""Filtering one number per pixel on the lattice, in compiled code: the mass of a kernel's rows."""

import numpy as np

from atrous.ops.compiling import compiled

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
def own_shares(weights: np.ndarray, begin: int, end: int, shares: np.ndarray) -> None:
    """Write what a pixel receives of its own value, as if no vertex on the way were missing.

    From a vertex to one t axes further, the blur leads by those t steps forward or by the other
    d + 1 - t backward, since a step along every axis is no step at all: 2^-t + 2^-(d + 1 - t).

    Args:
        weights: (N, d + 1).
        begin: First pixel.
        end: Pixel after the last.
        shares: (N,), written.
    """
    vertices = weights.shape[1]
    for p in range(begin, end):
        share = 0.0
        for r in range(vertices):
            share += weights[p, r] ** 2 * (1 + 2.0 ** (1 - vertices))
            for s in range(r):
                reach = 2.0 ** (s - r) + 2.0 ** (r - s - vertices)
                share += 2 * weights[p, r] * weights[p, s] * reach
        shares[p] = share
