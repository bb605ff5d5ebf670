"""A team in which somebody fails: nobody may wait for ever, whatever the others are doing."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from atrous import DenseCRF
from atrous.crf import threads
from atrous.crf.meeting import meet
from atrous.crf.threads import Team

ONE_FAILS = """
import sys
from atrous.crf.meeting import meet
from atrous.crf.threads import Team

size, wrong = 3, int(sys.argv[1])
meet(Team(1).meeting, 1)  # compiles

def work(part):
    if part == wrong:
        raise RuntimeError("this part failed")
    assert not meet(team.meeting, size)

try:
    with Team(size) as team:
        team.run(work)
except RuntimeError as error:
    print(error)
"""

NO_THREAD = """
import threading
from atrous.crf.meeting import meet
from atrous.crf.threads import Team

meet(Team(1).meeting, 1)
begin = threading.Thread.start
started = []

def start(thread):
    if started:
        raise RuntimeError("can't start new thread")
    started.append(thread)
    begin(thread)

threading.Thread.start = start
try:
    with Team(3) as team:
        team.run(lambda part: meet(team.meeting, 3))
except RuntimeError as error:
    print(error)
"""


def output_of(script, *arguments):
    """Run a script that could hang, for two minutes at most: it may have to compile."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_whoever_fails_the_others_come_home(wrong):
    assert output_of(ONE_FAILS, wrong) == "this part failed\n"


def test_a_thread_that_cannot_start_leaves_nobody_waiting():
    assert output_of(NO_THREAD) == "can't start new thread\n"


def test_results_come_in_the_order_of_the_parts():
    with Team(3) as team:
        assert team.run(lambda part: (part, bool(meet(team.meeting, 3)))) == [
            (0, True),
            (1, True),
            (2, True),
        ]
        assert team.cuts(10) == [(0, 3), (3, 6), (6, 10)]


def test_every_part_has_a_thread_from_the_start():
    before = threading.active_count()
    with Team(4):
        assert threading.active_count() == before + 3


@pytest.mark.parametrize("normalization", ["after", "symmetric", "before", "none"])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_any_number_of_threads_gives_the_same(normalization, exclude_self, monkeypatch):
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (7, 9, 3)), np.ones((6, 5, 1))).astype(np.uint8)
    maps = rng.random((5, *image.shape[:2]), dtype=np.float32)
    maps /= maps.sum(0)
    monkeypatch.setattr(threads, "SMALL", 1)
    # not normalised, messages are some hundreds, in the exponent: each step enlarges what rounds
    iterations, atol = (1, 1e-4) if normalization == "none" else (4, 2e-6)
    crf = DenseCRF(iterations=iterations, normalization=normalization, exclude_self=exclude_self)

    def answer(count):
        monkeypatch.setattr(torch, "get_num_threads", lambda: count)
        return crf(image, maps)

    alone = answer(1)
    assert np.abs(alone - maps).max() > 0.1
    for count in (2, 3, 8):
        np.testing.assert_allclose(answer(count), alone, atol=atol)  # sums in another order
