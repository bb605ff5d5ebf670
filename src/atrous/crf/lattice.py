"""The permutohedral lattice of an image as one object: where pixels lie, who neighbours whom."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.crf.lattice_build import embed, find_neighbours, join, new_table, renumber
from atrous.crf.lattice_mass import blur_numbers, own_shares, slice_numbers, splat_ones
from atrous.crf.threads import Team
from atrous.errors import InputError

__all__ = ["Lattice", "build_lattice", "key_factors", "lattice_gain"]

FARTHEST = 2.0**20
"""Beyond so many lattice steps from the origin float32 cannot tell simplices apart."""


@dataclass(frozen=True)
class Lattice:
    """The lattice of one kernel over one image.

    Vertices count from 1; where one is missing stands 0, whose values are 0.
    """

    vertices: NDArray[np.int32]
    """(N, d + 1) the vertices around each pixel."""

    weights: NDArray[np.float32]
    """(N, d + 1) their barycentric weights; sum to 1."""

    neighbours: NDArray[np.int32]
    """(d + 1, 2, M + 1) the neighbours along each axis, on either side."""

    @property
    def num_vertices(self) -> int:
        """M."""
        return int(self.neighbours.shape[2]) - 1

    def mass(self, team: Team) -> NDArray[np.float32]:
        """Return (N,) row sums of the filter splat, blur, slice."""
        count, size = len(self.vertices), self.num_vertices + 1
        cuts = team.cuts(count)
        parts = np.zeros((team.size, size), np.float32)
        team.run(lambda t: splat_ones(self.vertices, self.weights, *cuts[t], parts[t]))
        old, new = parts.sum(0), np.zeros(size, np.float32)
        for neighbours in self.neighbours:
            blur_numbers(old, neighbours, new)
            old, new = new, old
        mass = np.empty(count, np.float32)
        team.run(lambda t: slice_numbers(self.vertices, self.weights, old, *cuts[t], mass))
        return mass

    def own(self, team: Team) -> NDArray[np.float32]:
        """Return (N,) shares of its own value that a pixel receives from the filter."""
        cuts = team.cuts(len(self.weights))
        shares = np.empty(len(self.weights), np.float32)
        lattice = self.vertices, self.weights, self.neighbours
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
    most = sum(len(keys) for keys in found)
    keys, table, total = np.zeros(most, np.int64), new_table(most), 0
    for part, part_keys in enumerate(found):
        numbers, total = join(table, keys, total, part_keys)
        if part:  # the first part's numbers stay as they are
            begin, end = cuts[part]
            renumber(vertices, numbers, begin, end)
    keys = keys[: total + 1]
    neighbours = np.zeros((corners, 2, total + 1), np.int32)
    steps = factors.sum() - corners * factors
    team.run(
        lambda t: [
            find_neighbours(table, keys, steps[axis], neighbours[axis])
            for axis in range(t, corners, team.size)
        ]
    )
    return Lattice(vertices, weights, neighbours)


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
