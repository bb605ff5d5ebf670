"""Progress of long work on stderr: a bar on a terminal, now and then a line elsewhere."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol, TextIO

__all__ = ["Progress", "duration", "progress", "rate"]

SLOW_START = 5.0  # seconds: a first unit that took more has loaded and compiled, too
WINDOW_SECONDS = 30.0  # the rate is that of the last half minute: loaders start slowly
LINE_SECONDS = 15.0  # between two lines where stderr is a file


class _Screen(Protocol):
    """What shows the state; `update` may be called thousands of times a second."""

    def update(self, done: int, total: int | None, text: str) -> None: ...
    def close(self) -> None: ...


class Progress:
    """How far a piece of work has come; call it with (done, total), or `advance` it."""

    def __init__(self, screen: _Screen, total: int | None, unit: str, done: int = 0) -> None:
        self._screen = screen
        self._total = total
        self._unit = unit
        self._done = done
        self._note = ""
        self._left: float | None = None
        self._reports = 0
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), done)])

    def __call__(
        self,
        done: int,
        total: int | None = None,
        note: str | None = None,
        left: float | None = None,
    ) -> None:
        """Set how much is done, of how much, and what to say beside it ("loss 0.21").

        The seconds left follow from the rate, unless whoever calls knows better.
        """
        self._left = left
        self._reports += 1
        if done == 0:  # the work begins now, whatever was loaded before
            self._reports, self._marks = 0, deque([(time.monotonic(), 0)])
        self._done = done
        self._total = self._total if total is None else total
        self._note = self._note if note is None else note
        self._mark()
        self._screen.update(done, self._total, self._text())

    def advance(self, count: int = 1, *, note: str | None = None) -> None:
        """Add `count` to what is done."""
        self(self._done + count, note=note)

    def _mark(self) -> None:
        """Remember when we were here, at most ten times a second."""
        now = time.monotonic()
        if now - self._marks[-1][0] >= 0.1 or self._done == self._total or self._reports == 1:
            self._marks.append((now, self._done))
        if self._reports == 2:  # what came first also loaded and compiled
            self._marks.popleft()
        while now - self._marks[0][0] > WINDOW_SECONDS and len(self._marks) > 2:
            self._marks.popleft()

    def _text(self) -> str:
        (start, first), (end, last) = self._marks[0], self._marks[-1]
        parts = [self._note] if self._note else []
        if self._left is not None:
            return "  ".join([*parts, f"{duration(self._left)} left"])
        has_compiled = self._reports == 1 and end - start > SLOW_START and self._done != self._total
        if last > first and end > start and not has_compiled:
            per_second = (last - first) / (end - start)
            if self._unit:
                parts.append(rate(per_second, self._unit))
            if self._total is not None:
                parts.append(f"{duration(max(self._total - self._done, 0) / per_second)} left")
        return "  ".join(parts)


@contextlib.contextmanager
def progress(
    total: int | None,
    description: str,
    *,
    unit: str = "img",
    done: int = 0,
    stream: TextIO | None = None,
) -> Iterator[Progress]:
    """Show the progress of the block on stderr, with rate and time left.

    Args:
        total: Units of work, None if unknown.
        description: What is going on: "images", "iteration".
        unit: What one unit is called in the rate: "img" gives "36 img/s"; "" shows no rate.
        done: Units that were done before, and are not part of the rate.
        stream: Where to write; stderr if not given.

    Yields:
        A callable (done, total=None, note=None) with a method `advance`.
    """
    stream = stream or sys.stderr
    screen: _Screen = (
        _Bar(description, total, done, stream) if stream.isatty() else _Lines(description, stream)
    )
    try:
        yield Progress(screen, total, unit, done)
    finally:
        screen.close()


def duration(seconds: float) -> str:
    """Write a time as minutes:seconds, or hours:minutes:seconds.

    Example:
        >>> duration(306), duration(3723)
        ('5:06', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(per_second: float, unit: str) -> str:
    """Write a rate so that its number is readable.

    Example:
        >>> rate(41.2, "img"), rate(3.14, "img"), rate(0.5, "img")
        ('41 img/s', '3.1 img/s', '2.0 s/img')
    """
    if per_second < 0.95:
        return f"{1 / per_second:.1f} s/{unit}"
    return f"{per_second:.0f} {unit}/s" if per_second >= 9.95 else f"{per_second:.1f} {unit}/s"


class _Bar:
    """A rich bar, redrawn ten times a second at most; its last state stays on the screen."""

    def __init__(self, description: str, total: int | None, done: int, stream: TextIO) -> None:
        from rich.console import Console  # 0.1 s: only where a bar is shown
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._progress = RichProgress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream),
            refresh_per_second=8,
            redirect_stdout=sys.stdout.isatty(),  # else results would land on stderr
        )
        self._progress.start()
        self._task = self._progress.add_task(description, total=total, completed=done, text="")

    def update(self, done: int, total: int | None, text: str) -> None:
        self._progress.update(self._task, completed=done, total=total, text=text)

    def close(self) -> None:
        self._progress.stop()


class _Lines:
    """A plain line at the end and every fifteen seconds, for log files."""

    def __init__(self, description: str, stream: TextIO) -> None:
        self._description = description
        self._stream = stream
        self._line = self._shown = ""
        self._next = time.monotonic() + LINE_SECONDS

    def update(self, done: int, total: int | None, text: str) -> None:
        of = "" if total is None else f"/{total}"
        self._line = f"  {self._description} {done}{of}  {text}".rstrip()
        if time.monotonic() >= self._next:
            self._show()

    def close(self) -> None:
        self._show()

    def _show(self) -> None:
        if self._line != self._shown:
            print(self._line, file=self._stream, flush=True)
        self._shown = self._line
        self._next = time.monotonic() + LINE_SECONDS
