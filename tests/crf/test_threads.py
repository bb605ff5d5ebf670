"""A team in which somebody fails: nobody may wait for ever, whatever the others are doing."""

import subprocess
import sys

import pytest

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
    """Run a script that could hang, for a minute at most."""
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
