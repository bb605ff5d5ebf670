"""Blurring the lattice along one axis in place, chain by chain, in compiled code.

Along an axis every vertex has at most one neighbour on either side, so vertices form chains.
Walking along one, a loop holds the last vertex' old value in registers: each value is read once and
written once, where it lies. A vertex without neighbours along the axis stays as it is, unvisited.

A chain is written down as the numbers of its vertices, the last one's negative.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.compiling import compiled
from atrous.crf.lattice_build import ABSENT, find_slot
from atrous.crf.meeting import share
from atrous.ops.rows import load, prefetch, store, zeros

if TYPE_CHECKING:
    from atrous.crf.lattice import Lattice

__all__ = ["blur", "blur_numbers", "find_chains", "share_of_axis", "unchain"]

AHEAD = 12
"""Vertices from now whose values are fetched."""


@compiled
def find_chains(table: np.ndarray, keys: np.ndarray, step: int) -> Any:
    """Return the chains of all vertices along one axis, one after the other.

    Args:
        table: Slots of the vertices.
        keys: (R + 1,) by number; ABSENT for those that the table does not hold.
        step: What one step along the axis adds to a key.

    Returns:
        (L,) int32, L up to R.
    """
    following = np.zeros(keys.size, np.int32)
    is_first = np.ones(keys.size, np.bool_)
    for vertex in range(1, keys.size):
        if keys[vertex] != ABSENT:
            neighbour = table[find_slot(table, keys, keys[vertex] + step)]
            following[vertex] = neighbour
            is_first[neighbour] = False
    chains = np.empty(keys.size, np.int32)
    count = 0
    for first in range(1, keys.size):
        vertex = first
        if is_first[first] and following[first]:
            while following[vertex]:
                chains[count] = vertex
                vertex = following[vertex]
                count += 1
            chains[count] = -vertex
            count += 1
    return chains[:count]


@compiled
def share_of_axis(lattice: "Lattice", axis: int, thread: int) -> Any:
    """Return the first and the end of a thread's share of an axis' chains, all of them whole."""
    first, end = lattice.chain_edges[axis], lattice.chain_edges[axis + 1]
    cuts = share(end - first, thread, lattice.edges.size - 1)
    begin = _next_chain(lattice.chains, first, first + cuts[0])
    return begin, _next_chain(lattice.chains, first, first + cuts[1])


@compiled
def _next_chain(chains: np.ndarray, first: int, place: int) -> Any:
    """Return the first place from `place` on where a chain begins."""
    while place > first and chains[place - 1] > 0:
        place += 1
    return place


@compiled
def blur(
    values: np.ndarray, chains: np.ndarray, begin: int, end: int, turn: int, shape: tuple[int, ...]
) -> None:
    """Blur rows along some chains with weights 1/2, 1, 1/2.

    Args:
        values: (2R + 2, padded K), of which rows 2 v + turn are changed.
        chains: See `find_chains`.
        begin: Place where the first chain begins.
        end: Place after the last.
        turn: 0 or 1.
        shape: See `row_shapes`.
    """
    if begin == end:
        return
    row, side = load(values, 2 * abs(chains[begin]) + turn, shape), zeros(shape)
    for place in range(begin, end):
        prefetch(values, 2 * abs(chains[min(place + AHEAD, end - 1)]) + turn, shape)
        half = np.float32(0.5) if chains[place] > 0 else np.float32(0)  # no branch to mispredict
        following = load(values, 2 * abs(chains[min(place + 1, end - 1)]) + turn, shape)
        store(values, 2 * abs(chains[place]) + turn, row + side + half * following)
        side = half * row
        row = following


@compiled
def blur_numbers(values: np.ndarray, chains: np.ndarray, begin: int, end: int) -> None:
    """Do the same to (R + 1,) numbers."""
    last = np.float32(0)
    for place in range(begin, end):
        vertex = abs(chains[place])
        number = values[vertex]
        values[vertex] += np.float32(0.5) * last
        last = np.float32(0)
        if chains[place] > 0:
            values[vertex] += np.float32(0.5) * values[abs(chains[place + 1])]
            last = number


@compiled
def unchain(chains: np.ndarray, begin: int, end: int, neighbours: np.ndarray) -> None:
    """Write each vertex's neighbours along one axis into (2, R + 1) zeros, forward and backward."""
    for place in range(begin, end):
        if chains[place] > 0:
            vertex, following = chains[place], abs(chains[place + 1])
            neighbours[0, vertex] = following
            neighbours[1, following] = vertex
