"""Work on many rows, shared among torch's number of threads."""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["in_shares"]

SHARES, MOST = 4, 32
"""For each thread, and together where threads are few: each share sets up by itself. Threads take
the next one when they are done: behind an operator of torch its own threads wait for more by
spinning, for milliseconds, and ours may get a core late."""


def in_shares(work: Callable[[int, int], None], rows: int) -> None:
    """Call `work(begin, end)` for shares of `rows` side by side; it must not hold the GIL.

    The calling thread works, too, and waits for no thread that has not begun. What a share raises
    is raised here.
    """
    threads = min(torch.get_num_threads(), rows)
    if threads == 1:
        work(0, rows)
        return
    shares = min(SHARES * threads, max(MOST, threads), rows)
    numbers = itertools.count()

    def take() -> None:
        while (number := next(numbers)) < shares:
            work(rows * number // shares, rows * (number + 1) // shares)

    helpers = [_helpers().submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        for _ in range(shares):  # after an error nobody begins another share
            next(numbers)
        begun = [helper for helper in helpers if not helper.cancel()]
        errors = [error for helper in begun if (error := helper.exception()) is not None]
    if errors:
        raise errors[0]


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    """Return threads that live as long as the process: to start one costs more than most shares."""
    return ThreadPoolExecutor(os.cpu_count(), "atrous-shares")


if hasattr(os, "register_at_fork"):  # a child has none of them
    os.register_at_fork(after_in_child=_helpers.cache_clear)
