"""Mean field on the CPU: the compiled passes of `iteration`, shared among threads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atrous.crf.inputs import CLIP, SUM_TOLERANCE, improbable
from atrous.crf.lattice import Lattice, lattice_gain
from atrous.crf.message_passing import Kernel, pass_messages, pass_messages_keeping
from atrous.crf.normalise import scales
from atrous.crf.packing import pack, unpack
from atrous.crf.parameters import Normalization
from atrous.crf.threads import Team
from atrous.ops.row_shapes import shape_of, width_of

__all__ = ["Kernel", "infer", "make_kernel", "make_rows", "write_maps"]

Array = NDArray[np.float32]


def make_kernel(
    lattice: Lattice,
    weight: float,
    num_labels: int,
    normalization: Normalization,
    exclude_self: bool,
    team: Team,
) -> Kernel:
    """Normalise a kernel, and make room for the values at its vertices."""
    mass, own = lattice.mass(team), np.zeros(0, np.float32)
    if exclude_self:
        own = lattice.own(team)
        mass -= own
    gain = lattice_gain(len(lattice.corners) - 1)
    factors = scales(mass[None, :, None], normalization, gain)
    before, after = factors[0].reshape(-1), factors[1].reshape(-1) * np.float32(weight)
    own = before * after * own if exclude_self else own
    values = _aligned(2 * lattice.num_rows, width_of(shape_of(num_labels)))
    return Kernel(lattice, before, after, own, values)


def _no_kernel(pixels: int, padded: int, threads: int) -> Kernel:
    """Return a kernel that sends nothing."""
    where = np.zeros((pixels, 0), np.int32), np.zeros((pixels, 0), np.float32)
    no_chains = np.zeros(0, np.int32), np.zeros(1, np.int64)
    no_copies = np.zeros((0, 2), np.int32), np.zeros(threads + 1, np.int64)
    lattice = Lattice((), *where, *no_chains, *no_copies, np.ones(threads + 1, np.int64))
    nothing = np.zeros(pixels, np.float32)
    return Kernel(lattice, nothing, nothing, nothing[:0], _aligned(2, padded))


def _aligned(*size: int) -> Array:
    """Return memory that begins on a cache line, so that no chunk of a row lies across two.

    It is not filled: zeros from the system cost one thread alone what all can share.
    """
    count = int(np.prod(size))
    memory = np.empty(count + 16, np.float32)
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
    rows = _aligned(maps.shape[1] * maps.shape[2], width_of(shape))
    least = np.float32(CLIP)
    cuts = team.cuts(len(rows))
    bounds = 1.0 - SUM_TOLERANCE - left_out, 1.0 + SUM_TOLERANCE
    if any(team.run(lambda t: pack(maps, labels, least, *cuts[t], rows, bounds, shape[:1]))):
        raise improbable(maps)
    return rows


def write_maps(
    rows: Array, labels: NDArray[np.int64], maps: NDArray[np.floating], team: Team
) -> None:
    """Write rows, padded or not, into (K, H, W) maps."""
    cuts, chunk = team.cuts(len(rows)), shape_of(len(labels))[:1]
    team.run(lambda t: unpack(rows, labels, *cuts[t], maps, chunk))


def infer(
    rows: Array,
    kernels: Sequence[Kernel],
    prices: NDArray[np.float64] | None,
    *,
    num_labels: int,
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
        num_labels: K.
        iterations: How often messages pass, from 1.
        damping: Share of the old marginals that stays.
        tolerance: Stop as soon as no marginal moves by more; 0 never stops.
        team: The threads.

    Returns:
        (N, K) or (N, padded K) marginals.
    """
    shape = shape_of(num_labels)
    missing = range(2 - len(kernels))
    kernels = [*kernels, *(_no_kernel(len(rows), rows.shape[1], team.size) for _ in missing)]
    first, second = kernels
    owns = [kernel.own for kernel in kernels if kernel.own.size]
    own = np.sum(owns, axis=0, dtype=np.float32) if owns else np.zeros(0, np.float32)
    needs_last = bool(owns or damping or tolerance)
    is_everyday = prices is None and not needs_last
    last = rows[: len(rows) if needs_last else 0, :num_labels].copy()  # without the padding
    kept = last, own, _signed(prices, rows.shape[1]), np.float32(damping)
    shared = team.meeting, np.zeros((2, team.size), np.float32)

    def pass_on(t: int) -> None:
        if is_everyday:
            pass_messages(t, rows, (first, second), iterations, team.meeting, shape)
        else:
            told = (first, second), kept, iterations, tolerance, shared, shape
            pass_messages_keeping(t, rows, *told)

    team.run(pass_on)
    return last if needs_last else rows


def _signed(prices: NDArray[np.float64] | None, padded: int) -> Array:
    """Return (K, padded K) what a neighbour's label adds to each label's message.

    The padding repeats label 0, so that it never has the highest message.
    """
    if prices is None:
        return np.zeros((0, padded), np.float32)
    columns = np.where(np.arange(padded) < len(prices), np.arange(padded), 0)
    return np.ascontiguousarray(-prices.T[:, columns], dtype=np.float32)
