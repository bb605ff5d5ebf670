"""The permutohedral lattice of an image as one object: where pixels lie, who blurs with whom."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.crf.chains import find_chains, unchain
from atrous.crf.lattice_build import ABSENT, embed, join, new_table, renumber
from atrous.crf.lattice_mass import own_shares, row_sums
from atrous.crf.threads import Team
from atrous.errors import InputError

__all__ = ["Lattice", "build_lattice", "key_factors", "lattice_gain"]

FARTHEST = 2.0**20
"""Beyond so many lattice steps from the origin float32 cannot tell simplices apart."""


class Lattice(NamedTuple):
    """The lattice of one kernel over one image, built by a team of T threads.

    Compiled code takes it as it is. Vertices count from 1. Those around each thread's pixels follow
    each other, R in all: a vertex that two threads' pixels touch stands there twice, the second
    time as a copy.
    """

    corners: tuple[int, ...]
    """d + 1 zeros: a tuple's length is known when a function is compiled."""

    vertices: NDArray[np.int32]
    """(N, d + 1) the vertices around each pixel."""

    weights: NDArray[np.float32]
    """(N, d + 1) their barycentric weights; sum to 1."""

    chains: NDArray[np.int32]
    """(L,) the vertices along each axis, axis by axis; see `chains`."""

    chain_edges: NDArray[np.int64]
    """(d + 2,) where each axis' chains begin, and the end."""

    copies: NDArray[np.int32]
    """(C, 2) a copy, and the vertex that it is a copy of; in the order of the copies."""

    copy_edges: NDArray[np.int64]
    """(T + 1,) where each thread's copies begin, and the end."""

    edges: NDArray[np.int64]
    """(T + 1,) where each thread's vertices begin, and R + 1."""

    @property
    def num_rows(self) -> int:
        """R + 1: rows of an array that holds values by number."""
        return int(self.edges[-1])

    @property
    def num_vertices(self) -> int:
        """R - C."""
        return self.num_rows - 1 - len(self.copies)

    def mass(self, team: Team) -> NDArray[np.float32]:
        """Return (N,) row sums of the filter splat, blur, slice."""
        assert team.size == len(self.edges) - 1
        values = np.zeros(self.num_rows, np.float32)
        mass = np.empty(len(self.vertices), np.float32)
        team.run(lambda t: row_sums(t, self, values, mass, team.meeting))
        return mass

    def own(self, team: Team) -> NDArray[np.float32]:
        """Return (N,) shares of its own value that a pixel receives from the filter."""
        cuts = team.cuts(len(self.weights))
        neighbours = np.zeros((len(self.corners), 2, self.num_rows), np.int32)
        for axis in range(len(self.corners)):
            unchain(self.chains, *self.chain_edges[axis : axis + 2], neighbours[axis])
        original = np.arange(self.num_rows, dtype=np.int32)
        original[self.copies[:, 0]] = self.copies[:, 1]
        shares = np.empty(len(self.weights), np.float32)
        lattice = self.vertices, self.weights, original, neighbours
        team.run(lambda t: own_shares(*lattice, *cuts[t], shares))
        return shares


def build_lattice(
    image: NDArray[np.uint8], extra: NDArray[np.float32], stds: NDArray[np.float32], team: Team
) -> Lattice:
    """Build the lattice of an image; pixels are counted as `packing.place` does.

    Args:
        image: (H, W, C); without channels for the smoothness kernel.
        extra: (F, H, W) feature maps; F may be 0.
        stds: (2 + C + F,) deviations of x, y, channels, maps.
        team: The threads.

    Raises:
        InputError: Features so far apart, in deviations, that float32 cannot hold the lattice.
    """
    height, width, channels = image.shape
    count, corners = height * width, len(stds) + 1
    extra = extra - extra.min(axis=(1, 2), keepdims=True) if len(extra) else extra
    spans = [width - 1, height - 1, *[255] * channels, *(values.max() for values in extra)]
    factors = key_factors(np.array(spans, np.float64) / stds)[:-1]
    vertices = np.empty((count, corners), np.int32)
    weights = np.empty((count, corners), np.float32)
    cuts = team.cuts(count)
    found = team.run(lambda t: embed(image, extra, stds, factors, *cuts[t], vertices, weights))
    edges = np.cumsum([1, *(len(keys) - 1 for keys in found)])
    team.run(lambda t: renumber(vertices, edges[t], *cuts[t]) if t else None)
    keys, table = np.full(edges[-1], ABSENT), new_table(edges[-1])
    copies = [join(table, keys, edges[t], found[t]) for t in range(team.size)]
    steps = factors.sum() - corners * factors
    axes = team.run(
        lambda t: [find_chains(table, keys, steps[axis]) for axis in range(t, corners, team.size)]
    )
    chains = [axes[axis % team.size][axis // team.size] for axis in range(corners)]
    blurred = *_in_a_row(chains), *_in_a_row(copies)
    return Lattice((0,) * corners, vertices, weights, *blurred, edges)


def _in_a_row(parts: list[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return parts one after the other, and where each begins, and the end."""
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)])


def key_factors(spans: NDArray[np.float64], images: int = 1) -> NDArray[np.int64]:
    """Return the factors of a vertex's coordinates in its 64-bit key; see `lattice_build`.

    Args:
        spans: (d,) greatest value of each feature, in deviations; the least is 0.
        images: How many images share the keys.

    Returns:
        (d + 2,): of the d + 1 coordinates, 0 for the last, which follows from the others; and of
        the image's number.

    Raises:
        InputError: The features are too far apart.
    """
    d = len(spans)
    i = np.arange(d)
    spans_lifted = spans * math.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2))
    if not spans_lifted.sum() * d < FARTHEST:
        raise InputError(
            f"the image spans {spans.max():.3g} standard deviations of a kernel; "
            "give larger standard deviations"
        )
    above = np.cumsum(spans_lifted[::-1])[::-1]
    below = np.append(0, i[1:] * spans_lifted[:-1])
    sizes = np.ceil(above + below) + 4 * (d + 1)  # a simplex and a step beyond on either side
    if np.log2(sizes).sum() + np.log2(images) < 62:
        factors = np.cumprod(np.append(1, sizes)).astype(np.int64)
    else:
        factors = np.random.default_rng(d).integers(-(2**62), 2**62, d + 1) * 2 + 1
    return np.concatenate([factors[:-1], [0], factors[-1:]])


def lattice_gain(d: int) -> float:
    """Return what brings splat, blur, slice to the scale of exact Gaussian sums.

    Where points lie densely, the exact kernel sums (2 pi)^(d/2) of their density, the lattice the
    volume of a vertex's cell, (3/2)^(d/2) / sqrt(d + 1), times the 2^(d + 1) of its blurs.
    """
    return float((4 * math.pi / 3) ** (d / 2) * math.sqrt(d + 1) / 2 ** (d + 1))
