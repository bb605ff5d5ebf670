"""Mean field on the CPU: the compiled passes of `iteration`, shared among threads."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atrous.crf.inputs import CLIP, SUM_TOLERANCE, improbable
from atrous.crf.iteration import blur, join_and_blur, send, send_keeping, start
from atrous.crf.lattice import Lattice, lattice_gain
from atrous.crf.normalise import scales
from atrous.crf.packing import pack, unpack
from atrous.crf.parameters import Normalization
from atrous.crf.threads import Team
from atrous.ops.rows import LANES, shape_of

__all__ = ["Kernel", "infer", "make_kernel", "make_rows", "no_kernel", "write_maps"]

Array = NDArray[np.float32]


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

    def blur(self, axis: int, begin: int, end: int, shape: tuple[int, ...]) -> None:
        """Blur some vertices along one axis, from the parts or from the values before."""
        neighbours, new = self.lattice.neighbours[axis], self.values[axis % 2]
        if axis == 0:
            join_and_blur(self.parts, neighbours, begin, end, new, shape)
        else:
            blur(self.values[1 - axis % 2], neighbours, begin, end, new, shape)

    def argument(self, part: int) -> tuple[Any, ...]:
        """Return the tuple that `iteration` takes, for one thread."""
        corners = len(self.lattice.neighbours)
        blurred = self.values[(corners - 1) % 2] if corners else self.values[0]
        where = self.lattice.vertices, self.lattice.weights
        return ((0,) * corners, *where, self.before, self.after, blurred, self.parts[part])


def make_kernel(
    lattice: Lattice,
    weight: float,
    num_labels: int,
    normalization: Normalization,
    exclude_self: bool,
    team: Team,
) -> Kernel:
    """Normalise a kernel and make room for its values."""
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
    parts, values = _aligned(team.size, *size), _aligned(2, *size)
    return Kernel(lattice, before, after, own, parts, values)


def no_kernel(pixels: int, num_labels: int, team: Team) -> Kernel:
    """Return a kernel that sends nothing."""
    lattice = Lattice(
        np.zeros((pixels, 0), np.int32),
        np.zeros((pixels, 0), np.float32),
        np.zeros((0, 2, 1), np.int32),
    )
    size = 1, LANES * len(shape_of(num_labels))
    nothing = np.zeros(pixels, np.float32)
    parts, values = _aligned(team.size, *size), _aligned(2, *size)
    return Kernel(lattice, nothing, nothing, None, parts, values)


def _aligned(*size: int) -> Array:
    """Return zeros that begin on a cache line, so that no chunk of a row lies across two."""
    count = int(np.prod(size))
    memory = np.zeros(count + 16, np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + count].reshape(size)


def make_rows(maps: NDArray[np.floating], labels: NDArray[np.int64], team: Team) -> Array:
    """Return (N, padded L) rows of some labels' probabilities, clipped and normalised.

    Raises:
        InputError: NaN, infinity, negative values or sums that no softmax gives.
    """
    maps = np.ascontiguousarray(maps, np.float32)
    shape = shape_of(len(labels))
    rows = _aligned(maps.shape[1] * maps.shape[2], LANES * len(shape))
    least = np.zeros((1, rows.shape[1]), np.float32)
    least[0, : len(labels)] = CLIP
    cuts = team.cuts(len(rows))
    missing = 1 if len(labels) < len(maps) else SUM_TOLERANCE  # pruned labels take their share
    bounds = 1.0 - missing, 1.0 + SUM_TOLERANCE
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
    first: Kernel,
    second: Kernel,
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
        first: One kernel.
        second: The other kernel.
        prices: (K, K) compatibility, None for Potts.
        iterations: How often messages pass, from 1.
        damping: Share of the old marginals that stays.
        tolerance: Stop as soon as no marginal moves by more; 0 never stops.
        team: The threads.

    Returns:
        (N, padded K) marginals.
    """
    shape = (0,) * (rows.shape[1] // LANES)
    cuts = team.cuts(len(rows))
    kernels = first, second
    owns = [kernel.own for kernel in kernels if kernel.own is not None]
    is_everyday = prices is None and not (owns or damping or tolerance)
    own = np.sum(owns, axis=0, dtype=np.float32) if owns else np.zeros(len(rows), np.float32)
    marginals = rows if is_everyday else rows.copy()
    table = _signed(prices, rows.shape[1])

    def pass_on(t: int, is_last: bool) -> float:
        arguments = rows, first.argument(t), second.argument(t)
        if is_everyday:
            send(*arguments, *cuts[t], is_last, shape)
            return np.inf
        change: float = send_keeping(
            *arguments, (marginals, own, table, np.float32(damping)), *cuts[t], shape
        )
        return change

    team.run(lambda t: start(rows, first.argument(t), second.argument(t), *cuts[t], shape))
    for iteration in range(1, iterations + 1):
        _blur(kernels, team, shape)
        changes = team.run(partial(pass_on, is_last=iteration == iterations))
        if max(changes) <= tolerance:
            break
    return marginals


def _blur(kernels: tuple[Kernel, ...], team: Team, shape: tuple[int, ...]) -> None:
    """Blur both kernels' values along all axes, one axis of each at a time."""
    cuts = [team.cuts(kernel.lattice.num_vertices, 1) for kernel in kernels]

    def along(t: int, axis: int) -> None:
        for kernel, shares in zip(kernels, cuts, strict=True):
            if axis < len(kernel.lattice.neighbours):
                kernel.blur(axis, *shares[t], shape)

    for axis in range(max(len(kernel.lattice.neighbours) for kernel in kernels)):
        team.run(partial(along, axis=axis))


def _signed(prices: NDArray[np.float64] | None, padded: int) -> Array:
    """Return (K, padded K) what a neighbour's label adds to each label's message.

    The padding repeats label 0, so that it never has the highest message.
    """
    if prices is None:
        return np.zeros((0, padded), np.float32)
    columns = np.where(np.arange(padded) < len(prices), np.arange(padded), 0)
    return np.ascontiguousarray(-prices.T[:, columns], dtype=np.float32)
