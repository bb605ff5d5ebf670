"""All iterations of mean field in one call of compiled code that every thread makes.

Each thread has a share of the pixels and of the vertices. It splats its pixels to values of its
own, meets the others, blurs its vertices axis by axis with a meeting after each, and slices again.

A kernel comes as a tuple (corners, vertices, weights, before, after, neighbours, values, parts);
the first five are those of `iteration`; (d + 1, 2, M + 1) neighbours of every vertex along each
axis; (2, M + 1, padded K) by turns old and new values while blurring; (T, M + 1, padded K) what
each thread splats.
"""

from typing import Any

import numpy as np

from atrous.crf.compiling import compiled
from atrous.crf.iteration import blur, join_and_blur, send, send_keeping, start
from atrous.crf.meeting import meet

__all__ = ["pass_messages", "pass_messages_keeping"]


@compiled
def pass_messages(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Any, Any],
    iterations: int,
    meeting: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Run mean field with Potts' prices and nothing else.

    Args:
        thread: Number of the calling thread, from 0; all of a team have to call.
        rows: (N, padded K) the unary, overwritten by the marginals.
        kernels: Both, as the module says.
        iterations: How often messages pass, from 1.
        meeting: See `meeting`.
        shape: See `rows`.
    """
    team = kernels[0][7].shape[0]
    begin, end = _share(rows.shape[0], thread, team)
    one, other = _view(kernels[0], thread), _view(kernels[1], thread)
    start(rows, one, other, begin, end, shape)
    for iteration in range(1, iterations + 1):
        meet(meeting, team)
        _blur(thread, kernels, meeting, shape)
        send(rows, one, other, begin, end, iteration == iterations, shape)


@compiled
def pass_messages_keeping(
    thread: int,
    rows: np.ndarray,
    kernels: tuple[Any, Any],
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
        kernels: Both, as the module says.
        kept: See `send_keeping`; its first holds the marginals in the end.
        iterations: How often messages pass, from 1.
        tolerance: Stop as soon as no marginal moves by more.
        shared: The meeting, and (2, T) float32 changes, overwritten.
        shape: See `rows`.
    """
    team = kernels[0][7].shape[0]
    begin, end = _share(rows.shape[0], thread, team)
    one, other = _view(kernels[0], thread), _view(kernels[1], thread)
    start(rows, one, other, begin, end, shape)
    meeting, changes = shared
    meet(meeting, team)
    for iteration in range(iterations):
        _blur(thread, kernels, meeting, shape)
        turn = iteration % 2  # while some still read the last changes, others write the next
        changes[turn, thread] = send_keeping(rows, one, other, kept, begin, end, shape)
        meet(meeting, team)
        largest = np.float32(0)
        for t in range(team):
            largest = max(largest, changes[turn, t])
        if largest <= tolerance:
            break


@compiled
def _view(kernel: Any, thread: int) -> Any:
    """Return the kernel as `iteration` takes it, for one thread."""
    corners, vertices, weights, before, after, _, values, parts = kernel
    blurred = values[(len(corners) + 1) % 2]  # where the blur along the last axis writes
    return corners, vertices, weights, before, after, blurred, parts[thread]


@compiled
def _blur(
    thread: int, kernels: tuple[Any, Any], meeting: np.ndarray, shape: tuple[int, ...]
) -> None:
    """Blur both kernels' values along all axes, one axis of each between two meetings."""
    for axis in range(max(len(kernels[0][0]), len(kernels[1][0]))):
        _blur_along(thread, kernels[0], axis, shape)
        _blur_along(thread, kernels[1], axis, shape)
        meet(meeting, kernels[0][7].shape[0])


@compiled
def _blur_along(thread: int, kernel: Any, axis: int, shape: tuple[int, ...]) -> None:
    corners, _, _, _, _, neighbours, values, parts = kernel
    if axis >= len(corners):
        return
    begin, end = _share(neighbours.shape[2] - 1, thread, parts.shape[0])
    new = values[axis % 2]
    if axis == 0:
        join_and_blur(parts, neighbours[0], begin + 1, end + 1, new, shape)
    else:
        blur(values[1 - axis % 2], neighbours[axis], begin + 1, end + 1, new, shape)


@compiled
def _share(count: int, thread: int, team: int) -> Any:
    """Return the first number of a thread's share, and the one after the last."""
    return count * thread // team, count * (thread + 1) // team
