"""Work in a process of its own: its result, its failure, its death, Ctrl-C, its parent's end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atrous.compare.apart import WorkFailed, apart

WORK = """
import os, signal, time
from atrous.errors import InputError

def double(number, tell):
    print("talk of a library")
    tell("half way", 0.5)
    return 2 * number, os.getpid()

def refuse(number, tell):
    raise InputError("the crop is\\n  too small")

def exhaust(number, tell):
    raise MemoryError

def stumble(number, tell):
    raise ZeroDivisionError("by nothing")

def die(number, tell):
    os.kill(os.getpid(), number)
    time.sleep(60)

def last(number, tell):
    try:
        tell(str(os.getpid()), 0.0)
        time.sleep(60)
    except KeyboardInterrupt:
        tell("saved", 1.0)
        raise
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[..., Any]]:
    """Return the functions of a module that a child can import as well."""
    (tmp_path / "work_for_a_child.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "work_for_a_child", raising=False)
    import work_for_a_child  # type: ignore[import-not-found]

    return lambda name: getattr(work_for_a_child, name)


def test_the_result_comes_back_and_what_is_told_on_the_way(
    work: Callable[[str], Any], tmp_path: Path
) -> None:
    told: list[tuple[str, float]] = []

    twice, process = apart(
        work("double"), 21, log=tmp_path / "log", tell=lambda *each: told.append(each)
    )

    assert twice == 42
    assert process != os.getpid()
    assert told == [("half way", 0.5)]
    assert (tmp_path / "log").read_text() == "talk of a library\n"


@pytest.mark.parametrize(
    ("name", "number", "told"),
    [
        ("refuse", 0, "the crop is too small"),
        ("exhaust", 0, "out of memory; lower --crop or --batch-size, or close other programs"),
        ("stumble", 0, "a defect of atrous: ZeroDivisionError: by nothing (trace: "),
        ("die", signal.SIGKILL, "its process was killed, most often for lack of memory; lower"),
        ("die", signal.SIGSEGV, "its process ended by signal 11; what it printed last is in "),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    work: Callable[[str], Any], tmp_path: Path, name: str, number: int, told: str
) -> None:
    with pytest.raises(WorkFailed) as raised:
        apart(work(name), number, log=tmp_path / "log", tell=lambda *_: None)

    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)


def test_ctrl_c_reaches_the_child_which_saves_before_it_ends(
    work: Callable[[str], Any], tmp_path: Path
) -> None:
    told: list[str] = []

    def tell(what: str, share: float) -> None:
        told.append(what)
        if share == 0:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        apart(work("last"), 0, log=tmp_path / "log", tell=tell)

    assert told[1:] == ["saved"]


@pytest.mark.slow
def test_a_child_does_not_outlive_a_parent_that_is_killed(
    work: Callable[[str], Any], tmp_path: Path
) -> None:
    program = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from atrous.compare.apart import apart
    from work_for_a_child import last

    if __name__ == "__main__":
        tell = lambda what, share: print(what, flush=True)
        apart(last, 0, log=Path(sys.argv[1]) / "log", tell=tell)
    """
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    parent = subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    until = time.monotonic() + 60
    while time.monotonic() < until and _runs(child):
        time.sleep(0.1)

    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
