"""What a comparison says on the terminal: time left, and the mark of a row as good as the best."""

import io
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from atrous.cli.compare_lines import Terminal, result_lines
from atrous.cli.progress import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until a test sets `clock[0]`."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def shown(clock: list[float]) -> Callable[..., str]:
    """Return the line after calls of (second, done, total)."""

    def show(*calls: tuple[float, float, float]) -> str:
        stream = io.StringIO()
        with progress(1000, "parts", unit="", stream=stream) as bar:
            terminal = Terminal(bar)
            for second, done, total in calls:
                clock[0] = second
                terminal.progress(done, total, "2/4 unet: scoring")
        return stream.getvalue().splitlines()[-1]

    return show


def test_the_time_left_is_the_forecast_at_the_pace_so_far(shown: Callable[..., str]) -> None:
    line = shown((200.0, 100.0, 400.0))  # 100 s of the forecast took 200

    assert line == "  parts 250/1000  2/4 unet: scoring  10:00 left"


def test_a_slow_beginning_does_not_make_an_hour_of_a_minute(shown: Callable[..., str]) -> None:
    assert shown((60.0, 1.0, 61.0)).endswith("  4:00 left")


def test_the_work_has_a_clock_of_its_own_after_the_plan(shown: Callable[..., str]) -> None:
    line = shown((100.0, 50.0, 50.0), (100.0, 0.0, 300.0), (200.0, 100.0, 300.0))

    assert line == "  parts 333/1000  2/4 unet: scoring  3:20 left"


def test_the_protocol_stands_below_the_table() -> None:
    stamp = {"scales": [1.0], "flip": True, "data_hash": "0123456789", "split": "val"}
    cells = {
        name: [SimpleNamespace(facts={"evaluation": {"protocol": {**stamp, "tile": tile}}})]
        for name, tile in (("a", None), ("b", [64, 64]))
    }
    compared = SimpleNamespace(
        table=SimpleNamespace(rows=[], failed={}),
        together=SimpleNamespace(lack=""),
        verdict=SimpleNamespace(sentences=["Take a."]),
        cells=cells,
    )
    lines = result_lines(compared).splitlines()
    assert lines[-2:] == ["protocol: scales 1, flip, tile differs; data 01234567, val", "Take a."]
