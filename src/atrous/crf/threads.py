"""Sharing compiled loops among threads: they hold no GIL, so plain threads do."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import TypeVar

import torch

__all__ = ["Team", "team_for"]

Result = TypeVar("Result")

MOST = 8
"""Every thread has copies of the vertices that it shares, so memory grows with their number."""
SMALL = 2**14
"""Below so many pixels a second thread costs more than it saves."""


class Team:
    """A number of threads that take the same steps together; use it in a `with` statement.

    Attributes:
        size: How many they are.
        meeting: Where they meet inside compiled code; see `meeting`.
    """

    def __init__(self, size: int) -> None:
        from atrous.crf.meeting import new_meeting  # numba takes a second to load

        self.size = size
        self.meeting = new_meeting()
        self.helpers = _all_started(size - 1) if size > 1 else None

    def __enter__(self) -> "Team":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.helpers is not None:
            self.helpers.shutdown(cancel_futures=True)

    def cuts(self, count: int, first: int = 0) -> list[tuple[int, int]]:
        """Return (begin, end) of each thread's share of the numbers from `first`."""
        edges = [first + count * part // self.size for part in range(self.size + 1)]
        return list(pairwise(edges))

    def run(self, task: Callable[[int], Result]) -> list[Result]:
        """Call `task(part)` for every part at once; return the results in order.

        If a part fails, or Ctrl-C comes, the meeting is called off, so that none waits for it.
        """
        if self.helpers is None:
            return [task(0)]
        try:
            others = [self.helpers.submit(self._part, task, part) for part in range(1, self.size)]
            return [task(0), *(other.result() for other in others)]
        except BaseException:
            self._call_off()
            raise

    def _part(self, task: Callable[[int], Result], part: int) -> Result:
        try:
            return task(part)
        except BaseException:
            self._call_off()
            raise

    def _call_off(self) -> None:
        from atrous.crf.meeting import call_off

        call_off(self.meeting)


def _all_started(size: int) -> ThreadPoolExecutor:
    """Return a pool whose threads all run.

    A pool starts a thread where it sees none idle, and from Python 3.12 on may take one for idle
    that has a task in hand; a part without a thread would keep the others waiting for ever.
    """
    pool, all_here = ThreadPoolExecutor(size), threading.Barrier(size)
    try:
        for waiting in [pool.submit(all_here.wait) for _ in range(size)]:
            waiting.result()
    except BaseException:
        all_here.abort()
        pool.shutdown(cancel_futures=True)
        raise
    return pool


def team_for(pixels: int) -> Team:
    """Return a team of as many threads as torch may use, at most 8, or 1 for a small image."""
    return Team(1 if pixels < SMALL else min(torch.get_num_threads(), MOST))
