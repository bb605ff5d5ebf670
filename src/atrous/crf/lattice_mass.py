"""Filtering one number per pixel on the lattice, in compiled code: the mass of a kernel's rows."""

from typing import TYPE_CHECKING

import numpy as np

from atrous.compiling import compiled
from atrous.crf.chains import blur_numbers, share_of_axis
from atrous.crf.meeting import meet, share

if TYPE_CHECKING:
    from atrous.crf.lattice import Lattice

__all__ = ["own_shares", "row_sums"]


@compiled
def row_sums(
    thread: int, lattice: "Lattice", values: np.ndarray, sums: np.ndarray, meeting: np.ndarray
) -> None:
    """Filter a 1 of every pixel: splat, blur, slice.

    Args:
        thread: Number of the calling thread; all of the team that built the lattice have to call.
        lattice: Of N pixels and R vertices.
        values: (R + 1,) float32 of zeros, overwritten.
        sums: (N,) float32, written.
        meeting: See `meeting`.
    """
    begin, end = share(sums.size, thread, lattice.edges.size - 1)
    for p in range(begin, end):
        for r in range(lattice.vertices.shape[1]):
            values[lattice.vertices[p, r]] += lattice.weights[p, r]
    if not _blur(thread, lattice, values, meeting):
        return
    for p in range(begin, end):
        mean = np.float32(0)
        for r in range(lattice.vertices.shape[1]):
            mean += lattice.weights[p, r] * values[lattice.vertices[p, r]]
        sums[p] = mean


@compiled
def _blur(thread: int, lattice: "Lattice", values: np.ndarray, meeting: np.ndarray) -> bool:
    """Do to numbers what `message_passing` does to rows."""
    team = lattice.edges.size - 1
    if not meet(meeting, team):
        return False
    if thread == 0:
        for i in range(lattice.copies.shape[0]):
            values[lattice.copies[i, 1]] += values[lattice.copies[i, 0]]
    if not meet(meeting, team):
        return False
    for axis in range(lattice.vertices.shape[1]):
        begin, end = share_of_axis(lattice, axis, thread)
        blur_numbers(values, lattice.chains, begin, end)
        if not meet(meeting, team):
            return False
    for i in range(lattice.copy_edges[thread], lattice.copy_edges[thread + 1]):
        values[lattice.copies[i, 0]] = values[lattice.copies[i, 1]]
    return True


@compiled
def own_shares(
    vertices: np.ndarray,
    weights: np.ndarray,
    original: np.ndarray,
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
        original: (M + 1,) int32: of a copy the vertex that it is a copy of, else the vertex itself.
        neighbours: (d + 1, 2, M + 1), forward and backward along each axis; 0 where missing.
        begin: First pixel.
        end: Pixel after the last.
        shares: (N,), written.
    """
    corners = weights.shape[1]
    between, around = np.empty(corners, np.int64), np.empty(corners, np.int64)
    for p in range(begin, end):
        for r in range(corners):
            around[r] = original[vertices[p, r]]
        for axis in range(corners):
            between[axis] = corners - 1  # one axis leads back from the last vertex to the first
            for r in range(corners - 1):
                if neighbours[axis, 0, around[r]] == around[r + 1]:
                    between[axis] = r
        share = np.float32(0)
        for r in range(corners):
            for s in range(corners):
                steps = (s - r) % corners
                reach = _follow(neighbours, between, around[r], r, steps, True)
                reach += _follow(neighbours, between, around[r], r, steps, False)
                if r == s:  # once around
                    reach += _follow(neighbours, between, around[r], r, corners, True)
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
