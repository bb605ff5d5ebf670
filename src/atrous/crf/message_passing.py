"""All iterations of mean field in one call of compiled code that every thread makes.

Each thread has a share of the pixels, and of each axis' chains. It splats its pixels to vertices of
its own, meets the others, blurs axis by axis with a meeting after each, and slices again.
Where a meeting is called off, everybody leaves at once.
"""

from typing import NamedTuple

import numpy as np

from atrous.compiling import compiled
from atrous.crf.chains import blur, share_of_axis
from atrous.crf.iteration import Turn, send, send_keeping, start
from atrous.crf.lattice import Lattice
from atrous.crf.meeting import meet, share
from atrous.ops.rows import load, store, zeros

__all__ = ["Kernel", "pass_messages", "pass_messages_keeping"]


class Kernel(NamedTuple):
    """A normalised kernel over one image of N pixels, ready to filter rows of labels."""

    lattice: Lattice
    before: np.ndarray
    """(N,) factor of each pixel before the filter."""
    after: np.ndarray
    """(N,) factor after it, times the kernel's weight."""
    own: np.ndarray
    """(N,) what a pixel's message loses of its own marginals; (0,) for nothing."""
    values: np.ndarray
    """(2R + 2, padded K) at the vertices: row 2 v + turn is in turn splatted to and sliced from."""


@compiled
def pass_messages(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Kernel, Kernel],
    iterations: int,
    meeting: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Run mean field with Potts' prices and nothing else.

    Args:
        thread: Number of the calling thread, from 0; all of a team have to call.
        rows: (N, padded K) the unary, overwritten by the marginals.
        kernels: Appearance and smoothness, in any order.
        iterations: How often messages pass, from 1.
        meeting: See `meeting`.
        shape: See `row_shapes`.
    """
    one, other = kernels
    team = one.lattice.edges.size - 1
    begin, end = share(rows.shape[0], thread, team)
    _clear(thread, one, 0, shape)
    _clear(thread, other, 0, shape)
    start(rows, _view(one, 1), _view(other, 1), begin, end, shape)
    for iteration in range(1, iterations + 1):
        turn = (iteration + 1) % 2
        if not meet(meeting, team) or not _blur(thread, kernels, turn, meeting, shape):
            return
        is_last = iteration == iterations
        if not is_last:
            _clear(thread, one, 1 - turn, shape)
            _clear(thread, other, 1 - turn, shape)
        send(rows, _view(one, turn), _view(other, turn), begin, end, is_last, shape)


@compiled
def pass_messages_keeping(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Kernel, Kernel],
    kept: tuple[np.ndarray, np.ndarray, np.ndarray, np.float32],
    iterations: int,
    tolerance: float,
    shared: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, ...],
) -> None:
    """Run mean field in all other forms.

    Args:
        thread: As in `pass_messages`.
        rows: (N, padded K) the unary; holds the marginals in the end where none are kept.
        kernels: Appearance and smoothness, in any order.
        kept: See `send_keeping`; its first, where not empty, holds the marginals in the end.
        iterations: How often messages pass, from 1.
        tolerance: Stop as soon as no marginal moves by more.
        shared: The meeting, and (2, T) float32 changes, overwritten.
        shape: See `row_shapes`.
    """
    one, other = kernels
    team = one.lattice.edges.size - 1
    begin, end = share(rows.shape[0], thread, team)
    _clear(thread, one, 0, shape)
    _clear(thread, other, 0, shape)
    start(rows, _view(one, 1), _view(other, 1), begin, end, shape)
    meeting, changes = shared
    if not meet(meeting, team):
        return
    for iteration in range(iterations):
        turn = iteration % 2  # while some still read the last changes, others write the next
        if not _blur(thread, kernels, turn, meeting, shape):
            return
        _clear(thread, one, 1 - turn, shape)
        _clear(thread, other, 1 - turn, shape)
        views = _view(one, turn), _view(other, turn)
        is_last = iteration == iterations - 1
        changes[turn, thread] = send_keeping(rows, *views, kept, begin, end, is_last, shape)
        if not meet(meeting, team):
            return
        largest = np.float32(0)
        for t in range(team):
            largest = max(largest, changes[turn, t])
        if kept[0].shape[0] and largest <= tolerance:
            break


@compiled
def _view(kernel: Kernel, turn: int) -> Turn:
    """Return the kernel as `iteration` takes it, to slice from one turn's values."""
    lattice = kernel.lattice
    where = lattice.corners, lattice.vertices, lattice.weights, kernel.before, kernel.after
    return Turn(*where, kernel.values, turn)


@compiled
def _clear(thread: int, kernel: Kernel, turn: int, shape: tuple[int, ...]) -> None:
    """Set the values of a thread's vertices to 0."""
    edges = kernel.lattice.edges
    for vertex in range(edges[thread], edges[thread + 1]):
        store(kernel.values, 2 * vertex + turn, zeros(shape))


@compiled
def _blur(
    thread: int,
    kernels: tuple[Kernel, Kernel],
    turn: int,
    meeting: np.ndarray,
    shape: tuple[int, ...],
) -> bool:
    """Add up the copies of vertices, blur along all axes, and bring the copies up to date.

    Both kernels are taken together, so that threads meet less often.
    """
    one, other = kernels
    team = one.lattice.edges.size - 1
    for part in range(1, team):  # within a part no two copies are of the same vertex
        _add_copies(thread, part, one, turn, shape)
        _add_copies(thread, part, other, turn, shape)
        if not meet(meeting, team):
            return False
    for axis in range(max(len(one.lattice.corners), len(other.lattice.corners))):
        _blur_along(thread, axis, one, turn, shape)
        _blur_along(thread, axis, other, turn, shape)
        if not meet(meeting, team):
            return False
    _refresh_copies(thread, one, turn, shape)
    _refresh_copies(thread, other, turn, shape)
    return True


@compiled
def _add_copies(thread: int, part: int, kernel: Kernel, turn: int, shape: tuple[int, ...]) -> None:
    """Add one part's copies, shared among all threads, to their vertices."""
    lattice, values = kernel.lattice, kernel.values
    first, last = lattice.copy_edges[part], lattice.copy_edges[part + 1]
    begin, end = share(last - first, thread, lattice.edges.size - 1)
    for i in range(first + begin, first + end):
        copy, vertex = 2 * lattice.copies[i, 0] + turn, 2 * lattice.copies[i, 1] + turn
        store(values, vertex, load(values, vertex, shape) + load(values, copy, shape))


@compiled
def _refresh_copies(thread: int, kernel: Kernel, turn: int, shape: tuple[int, ...]) -> None:
    """Set a thread's copies, which no other thread reads, to their vertices' values."""
    lattice, values = kernel.lattice, kernel.values
    for i in range(lattice.copy_edges[thread], lattice.copy_edges[thread + 1]):
        copy, vertex = 2 * lattice.copies[i, 0] + turn, 2 * lattice.copies[i, 1] + turn
        store(values, copy, load(values, vertex, shape))


@compiled
def _blur_along(thread: int, axis: int, kernel: Kernel, turn: int, shape: tuple[int, ...]) -> None:
    if axis < len(kernel.lattice.corners):
        begin, end = share_of_axis(kernel.lattice, axis, thread)
        blur(kernel.values, kernel.lattice.chains, begin, end, turn, shape)
