"""All iterations of mean field in one call of compiled code that every thread makes.

Each thread has a share of the pixels and of the vertices. It splats its pixels to values of its
own, meets the others, blurs its vertices axis by axis with a meeting after each, and slices again.
Where a meeting is called off, everybody leaves at once.
"""

from typing import Any, NamedTuple

import numpy as np

from atrous.compiling import compiled
from atrous.crf.iteration import Share, blur, join_and_blur, send, send_keeping, start
from atrous.crf.meeting import meet

__all__ = ["Filter", "pass_messages", "pass_messages_keeping"]


class Filter(NamedTuple):
    """A normalised kernel, as compiled code takes it; the first five are those of `Share`."""

    corners: tuple[int, ...]
    vertices: np.ndarray
    weights: np.ndarray
    before: np.ndarray
    after: np.ndarray
    neighbours: np.ndarray
    """(d + 1, 2, M + 1) of every vertex along each axis."""
    values: np.ndarray
    """(2, M + 1, padded K) by turns old and new while blurring."""
    parts: np.ndarray
    """(T, M + 1, padded K) what each thread splats."""


@compiled
def pass_messages(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Filter, Filter],
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
        shape: See `rows`.
    """
    team = kernels[0].parts.shape[0]
    begin, end = _share(rows.shape[0], thread, team)
    one, other = _view(kernels[0], thread), _view(kernels[1], thread)
    start(rows, one, other, begin, end, shape)
    for iteration in range(1, iterations + 1):
        if not meet(meeting, team) or not _blur(thread, kernels, meeting, shape):
            return
        send(rows, one, other, begin, end, iteration == iterations, shape)


@compiled
def pass_messages_keeping(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Filter, Filter],
    kept: tuple[np.ndarray, np.ndarray, np.ndarray, np.float32],
    iterations: int,
    tolerance: float,
    shared: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, ...],
) -> None:
    """Run mean field in the forms that need the last marginals.

    Args:
        thread: As in `pass_messages`.
        rows: (N, padded K) the unary.
        kernels: Appearance and smoothness, in any order.
        kept: See `send_keeping`; its first holds the marginals in the end.
        iterations: How often messages pass, from 1.
        tolerance: Stop as soon as no marginal moves by more.
        shared: The meeting, and (2, T) float32 changes, overwritten.
        shape: See `rows`.
    """
    team = kernels[0].parts.shape[0]
    begin, end = _share(rows.shape[0], thread, team)
    one, other = _view(kernels[0], thread), _view(kernels[1], thread)
    start(rows, one, other, begin, end, shape)
    meeting, changes = shared
    if not meet(meeting, team):
        return
    for iteration in range(iterations):
        if not _blur(thread, kernels, meeting, shape):
            return
        turn = iteration % 2  # while some still read the last changes, others write the next
        changes[turn, thread] = send_keeping(rows, one, other, kept, begin, end, shape)
        if not meet(meeting, team):
            return
        largest = np.float32(0)
        for t in range(team):
            largest = max(largest, changes[turn, t])
        if largest <= tolerance:
            break


@compiled
def _view(kernel: Filter, thread: int) -> Share:
    """Return the kernel as `iteration` takes it, for one thread."""
    blurred = kernel.values[(len(kernel.corners) + 1) % 2]  # what the last axis' blur writes
    return Share(
        kernel.corners,
        kernel.vertices,
        kernel.weights,
        kernel.before,
        kernel.after,
        blurred,
        kernel.parts[thread],
    )


@compiled
def _blur(
    thread: int, kernels: tuple[Filter, Filter], meeting: np.ndarray, shape: tuple[int, ...]
) -> bool:
    """Blur both kernels' values along all axes, one axis of each between two meetings."""
    one, other = kernels
    for axis in range(max(len(one.corners), len(other.corners))):
        _blur_along(thread, one, axis, shape)
        _blur_along(thread, other, axis, shape)
        if not meet(meeting, one.parts.shape[0]):
            return False
    return True


@compiled
def _blur_along(thread: int, kernel: Filter, axis: int, shape: tuple[int, ...]) -> None:
    if axis >= len(kernel.corners):
        return
    begin, end = _share(kernel.neighbours.shape[2] - 1, thread, kernel.parts.shape[0])
    old, new, beside = kernel.values[1 - axis % 2], kernel.values[axis % 2], kernel.neighbours[axis]
    if axis == 0:
        join_and_blur(kernel.parts, beside, begin + 1, end + 1, new, shape)
    else:
        blur(old, beside, begin + 1, end + 1, new, shape)


@compiled
def _share(count: int, thread: int, team: int) -> Any:
    """Return the first number of a thread's share, and the one after the last."""
    return count * thread // team, count * (thread + 1) // team
