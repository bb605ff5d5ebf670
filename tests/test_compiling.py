"""When a kept compilation is taken for new, and when it is not."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from atrous import compiling

INNER = """
import numba

@numba.njit(nogil=True)
def inner(x):
    return x + {}
"""

OUTER = """
from atrous.compiling import compiled
from {room}.inner import inner

@compiled
def outer(x):
    return inner(x)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two rooms whose stamp is taken instead of ours."""
    for room in ("ops", "evaluation"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "kernel.py").write_text("ONE = 1\n")
    (tmp_path / "compiling.py").write_text("ONE = 1\n")
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "compiling.py"))
    monkeypatch.setattr(compiling, "ROOMS", ("ops", "evaluation"))

    def stamp():
        compiling._stamp.cache_clear()
        return compiling._stamp()

    yield tmp_path, stamp
    compiling._stamp.cache_clear()


@pytest.mark.parametrize("room", ["ops", "evaluation"])
def test_the_stamp_changes_with_any_file_of_a_room(package, room):
    root, stamp = package
    before = stamp()
    assert stamp() == before
    (root / room / "kernel.py").write_text("ONE = 2\n")
    changed = stamp()
    assert changed != before
    (root / room / "another.py").write_text("TWO = 2\n")
    assert stamp() not in (before, changed)


def test_the_stamp_changes_with_how_it_is_compiled(package):
    root, stamp = package
    before = stamp()
    (root / "compiling.py").write_text("ONE = 2\n")
    assert stamp() != before


def test_every_room_with_compiled_functions_is_in_the_stamp():
    package = Path(compiling.__file__).parent
    rooms = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "atrous.compiling import compiled" in path.read_text(encoding="utf-8")
    }
    assert rooms <= set(compiling.ROOMS)


def test_a_function_is_compiled_anew_when_one_that_it_contains_changes(tmp_path):
    """Two processes and one cache on disk, as before and after an update."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").touch()
    (tmp_path / "compiling.py").touch()
    (room / "outer.py").write_text(OUTER.format(room="room"))
    program = (
        "from atrous import compiling; from pathlib import Path\n"
        f"compiling.__file__ = {str(tmp_path / 'compiling.py')!r}; "
        "compiling.ROOMS = ('room',)\n"
        "from room.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
    )
    paths = [str(tmp_path), str(Path(compiling.__file__).parents[1])]
    surroundings = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    told = []
    for number in (1, 1, 5):
        (room / "inner.py").write_text(INNER.format(number))
        command = [sys.executable, "-c", program]
        told.append(subprocess.check_output(command, env=surroundings, text=True).split())
    assert told == [["2", "0"], ["2", "1"], ["6", "0"]]


@pytest.mark.parametrize(("room", "lines"), [("atrous.ops", 1), ("elsewhere", 0)])
def test_whoever_waits_for_compilers_is_told_once(room, lines, caplog):
    def double(x):
        return x + x

    double.__module__ = room
    compiling._compiles.cache_clear()
    with caplog.at_level(logging.INFO, "atrous.compiling"):
        kernel = numba.njit(double)
        assert (kernel(2), kernel(0.25)) == (4, 0.5)  # compiled twice

    assert len([record for record in caplog.records if "compiling" in record.message]) == lines
