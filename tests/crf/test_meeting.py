"""Threads that meet inside compiled code, more of them than there are cores included."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from atrous.compiling import compiled
from atrous.crf.meeting import meet, new_meeting


@compiled
def rounds_in_step(thread, meeting, written, rounds):
    """Write down each round and meet; return how often another thread's round was not the same."""
    size, wrong = written.size, 0
    for number in range(rounds):
        written[thread] = number
        meet(meeting, size)
        for other in range(size):
            wrong += written[other] != number
        meet(meeting, size)
    return wrong


@pytest.mark.parametrize("size", [1, 2, 7])
def test_nobody_goes_on_before_all_have_come(size):
    shared = new_meeting(), np.full(size, -1)

    with ThreadPoolExecutor(size) as threads:
        wrong = list(threads.map(lambda t: rounds_in_step(t, *shared, 500), range(size)))

    assert wrong == [0] * size
