"""Mean field on the CPU: the compiled passes of `iteration`, shared among threads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from atrous.crf.inputs import CLIP, SUM_TOLERANCE, improbable
from atrous.crf.lattice import Lattice, lattice_gain
from atrous.crf.message_passing import Filter, pass_messages, pass_messages_keeping
from atrous.crf.normalise import scales
from atrous.crf.packing import pack, unpack
from atrous.crf.parameters import Normalization
from atrous.crf.threads import Team
from atrous.ops.rows import LANES, shape_of

__all__ = ["MOST_VALUES", "Kernel", "crew_for", "infer", "make_kernel", "make_rows", "write_maps"]

Array = NDArray[np.float32]

MOST_VALUES = 8
"""Rows of values that threads may splat to, for each pixel of the image."""


@dataclass(frozen=True)
class Kernel:
    """A normalised kernel over one image, ready to filter rows of labels."""

    lattice: Lattice
    before: Array
    """(N,) factor of each pixel before the filter."""
    after: Array
    """(N,) factor after it, times the kernel's weight."""
    own: Array | None
    """(N,) what a pixel's message loses of its own marginals, or None."""
    parts: Array
    """(T, M + 1, padded K) what each thread splats."""
    values: Array
    """(2, M + 1, padded K) by turns old and new while blurring."""

    def compiled(self) -> Filter:
        """Return what compiled code takes."""
        lattice = self.lattice
        corners = (0,) * len(lattice.neighbours)
        where = lattice.vertices, lattice.weights
        factors = self.before, self.after
        return Filter(corners, *where, *factors, lattice.neighbours, self.values, self.parts)


def make_kernel(
    lattice: Lattice,
    weight: float,
    num_labels: int,
    normalization: Normalization,
    exclude_self: bool,
    team: Team,
    crew: int,
) -> Kernel:
    """Normalise a kernel, and make room for the values that `crew` threads splat."""
    mass = lattice.mass(team)
    shares = lattice.own(team) if exclude_self else None
    rest = mass if shares is None else mass - shares
    gain = lattice_gain(lattice.vertices.shape[1] - 1)
    before, after = (
        factor[0, :, 0].numpy()
        for factor in scales(torch.from_numpy(rest)[None, :, None], normalization, gain)
    )
    after = after * np.float32(weight)
    own = None if shares is None else before * after * shares
    size = lattice.num_vertices + 1, LANES * len(shape_of(num_labels))
    parts, values = _aligned(crew, *size), _aligned(2, *size)
    return Kernel(lattice, before, after, own, parts, values)


def _no_kernel(pixels: int, num_labels: int, crew: int) -> Kernel:
    """Return a kernel that sends nothing."""
    lattice = Lattice(
        np.zeros((pixels, 0), np.int32),
        np.zeros((pixels, 0), np.float32),
        np.zeros((0, 2, 1), np.int32),
    )
    size = 1, LANES * len(shape_of(num_labels))
    nothing = np.zeros(pixels, np.float32)
    return Kernel(lattice, nothing, nothing, None, _aligned(crew, *size), _aligned(2, *size))


def crew_for(lattices: Sequence[Lattice], team: Team) -> int:
    """Return how many of the threads are to splat.

    Each splats to vertices of its own. A photograph has far fewer vertices than pixels, but noise
    has several for each, whose values would take gigabytes on many threads.
    """
    vertices = sum(lattice.num_vertices for lattice in lattices)
    pixels = len(lattices[0].vertices) if lattices else 0
    return max(1, min(team.size, MOST_VALUES * pixels // max(vertices, 1)))


def _aligned(*size: int) -> Array:
    """Return zeros that begin on a cache line, so that no chunk of a row lies across two."""
    count = int(np.prod(size))
    memory = np.zeros(count + 16, np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + count].reshape(size)


def make_rows(
    maps: NDArray[np.floating], labels: NDArray[np.int64], team: Team, left_out: float = 0.0
) -> Array:
    """Return (N, padded L) rows of some labels' probabilities, clipped and normalised.

    Args:
        maps: (K, H, W).
        labels: (L,) which to take.
        team: The threads.
        left_out: How much of a pixel's sum the others may have at most.

    Raises:
        InputError: NaN, infinity, negative values or sums that no softmax gives.
    """
    maps = np.ascontiguousarray(maps, np.float32)
    shape = shape_of(len(labels))
    rows = _aligned(maps.shape[1] * maps.shape[2], LANES * len(shape))
    least = np.zeros((1, rows.shape[1]), np.float32)
    least[0, : len(labels)] = CLIP
    cuts = team.cuts(len(rows))
    bounds = 1.0 - SUM_TOLERANCE - left_out, 1.0 + SUM_TOLERANCE
    if any(team.run(lambda t: pack(maps, labels, least, *cuts[t], rows, bounds, shape))):
        raise improbable(maps)
    return rows


def write_maps(
    rows: Array, labels: NDArray[np.int64], maps: NDArray[np.floating], team: Team
) -> None:
    """Write rows into (K, H, W) maps."""
    cuts = team.cuts(len(rows))
    team.run(lambda t: unpack(rows, labels, *cuts[t], maps))


def infer(
    rows: Array,
    kernels: Sequence[Kernel],
    prices: NDArray[np.float64] | None,
    *,
    iterations: int,
    damping: float,
    tolerance: float,
    team: Team,
) -> Array:
    """Run mean field.

    Args:
        rows: (N, padded K) the unary; overwritten.
        kernels: At most two.
        prices: (K, K) compatibility, None for Potts.
        iterations: How often messages pass, from 1.
        damping: Share of the old marginals that stays.
        tolerance: Stop as soon as no marginal moves by more; 0 never stops.
        team: The threads.

    Returns:
        (N, padded K) marginals.
    """
    shape = (0,) * (rows.shape[1] // LANES)
    crew = len(kernels[0].parts) if kernels else 1
    absent = [_no_kernel(len(rows), rows.shape[1], crew)] * (2 - len(kernels))
    first, second = (kernel.compiled() for kernel in (*kernels, *absent))
    owns = [kernel.own for kernel in kernels if kernel.own is not None]
    is_everyday = prices is None and not (owns or damping or tolerance)
    own = np.sum(owns, axis=0, dtype=np.float32) if owns else np.zeros(len(rows), np.float32)
    marginals = rows if is_everyday else rows.copy()
    kept = marginals, own, _signed(prices, rows.shape[1]), np.float32(damping)
    shared = team.meeting, np.zeros((2, crew), np.float32)

    def pass_on(t: int) -> None:
        if t >= crew:
            return
        if is_everyday:
            pass_messages(t, rows, (first, second), iterations, team.meeting, shape)
        else:
            told = (first, second), kept, iterations, tolerance, shared, shape
            pass_messages_keeping(t, rows, *told)

    team.run(pass_on)
    return marginals


def _signed(prices: NDArray[np.float64] | None, padded: int) -> Array:
    """Return (K, padded K) what a neighbour's label adds to each label's message.

    The padding repeats label 0, so that it never has the highest message.
    """
    if prices is None:
        return np.zeros((0, padded), np.float32)
    columns = np.where(np.arange(padded) < len(prices), np.arange(padded), 0)
    return np.ascontiguousarray(-prices.T[:, columns], dtype=np.float32)
