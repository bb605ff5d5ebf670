import io

import pytest

from atrous.cli.progress import duration, progress, rate


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until a test sets `clock[0]`."""
    now = [0.0]
    monkeypatch.setattr("atrous.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_a_file_gets_a_line_now_and_then_and_one_at_the_end(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(40, "images", stream=stream) as bar:
        for second in range(1, 41):
            clock[0] = float(second)
            bar.advance()

    assert stream.getvalue().splitlines() == [
        "  images 15/40  1.0 img/s  0:25 left",
        "  images 30/40  1.0 img/s  0:10 left",
        "  images 40/40  1.0 img/s  0:00 left",
    ]


def test_the_rate_is_that_of_the_last_half_minute(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(1000, "images", stream=stream) as bar:
        for done, second in ((1, 60.0), (2, 61.0), (302, 91.0)):
            clock[0] = second
            bar(done)

    assert "302/1000  10 img/s  1:10 left" in stream.getvalue()


def test_a_slow_first_image_is_not_part_of_the_rate(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(None, "images", stream=stream) as bar:
        bar(0, 101)
        for done, second in ((1, 20.0), (2, 20.04), (3, 20.5), (21, 22.0)):  # it compiled
            clock[0] = second
            bar(done)

    assert stream.getvalue().splitlines()[-1] == "  images 21/101  10 img/s  0:08 left"


def test_a_first_image_that_compiled_promises_no_time(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(6, "images", stream=stream) as bar:
        for done, second in ((1, 23.0), (2, 39.0)):
            clock[0] = second
            bar(done)

    assert stream.getvalue().splitlines() == ["  images 1/6", "  images 2/6  16.0 s/img  1:04 left"]


def test_a_note_stands_before_the_rate(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(None, "iteration", unit="it", stream=stream) as bar:
        clock[0] = 1.0
        bar(2, 4, "loss 0.21")

    assert stream.getvalue() == "  iteration 2/4  loss 0.21  2.0 it/s  0:01 left\n"


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()

    with progress(3, "images [x]", stream=stream) as bar:
        for _ in range(3):
            bar.advance()

    assert "images [x]" in stream.getvalue()
    assert "3/3" in stream.getvalue()


def test_nothing_done_shows_nothing() -> None:
    stream = io.StringIO()

    with progress(3, "images", stream=stream):
        pass

    assert stream.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3600, "1:00:00")])
def test_durations_are_minutes_and_seconds(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_slow_work_is_counted_in_seconds_a_unit() -> None:
    assert rate(0.1, "img") == "10.0 s/img"


def test_what_was_done_before_is_not_part_of_the_rate(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(40, "iteration", unit="it", done=30, stream=stream) as bar:
        clock[0] = 1.0
        bar(32)

    assert stream.getvalue() == "  iteration 32/40  2.0 it/s  0:04 left\n"


def test_a_rate_without_a_unit_is_not_shown(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(4, "iteration", unit="", stream=stream) as bar:
        clock[0] = 1.0
        bar(2, note="41 img/s")

    assert stream.getvalue() == "  iteration 2/4  41 img/s  0:01 left\n"


def test_who_knows_the_time_left_better_than_the_rate_may_say_so(clock: list[float]) -> None:
    stream = io.StringIO()

    with progress(1000, "parts", unit="", stream=stream) as bar:
        clock[0] = 1.0
        bar(10, note="1/4 unet", left=306.0)

    assert stream.getvalue() == "  parts 10/1000  1/4 unet  5:06 left\n"
