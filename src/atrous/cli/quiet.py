"""Keeps the talk of dependencies off the terminal; `--debug` lets it through."""

import contextlib
import faulthandler
import logging
import os
import sys
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]

OURS = "atrous"
WAITING = ("atrous.compiling",)
ENVIRONMENT = {  # read by libraries written in C++ when they are loaded, and by loader processes
    "GLOG_minloglevel": "3",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OPENCV_LOG_LEVEL": "SILENT",
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


class _Quiet(logging.Logger):
    """A logger that speaks from WARNING on if it is ours, from CRITICAL on if it is not.

    Whoever sits at a terminal is told why nothing moves. A level would not do: lightning sets its
    own when it is imported.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - overrides logging.Logger
        if self.name in WAITING and sys.stderr.isatty():
            return level >= logging.INFO
        least = logging.WARNING if self.name.partition(".")[0] == OURS else logging.CRITICAL
        return level >= least and super().isEnabledFor(level)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic for mypy alone
    """Writes to what stderr is at the time: above the bar, while one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _OneLine(logging.Formatter):
    """`warning: the text`, without time and module; what only informs stands as it is."""

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno < logging.WARNING:
            return f"  {record.getMessage()}"
        return f"{record.levelname.lower()}: {record.getMessage()}"


@contextlib.contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Within the block only our own warnings reach stderr, each as one line.

    Works on what is imported inside the block, which is everything heavy: commands import lazily.
    """
    if not wanted:
        yield
        return
    with _native_silence():
        yield from _python_silence()


def _python_silence() -> Iterator[None]:
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    handler = _Handler(sys.stderr)
    handler.setFormatter(_OneLine())
    ours, before = logging.getLogger(OURS), logging.getLoggerClass()
    ours.addHandler(handler)
    logging.setLoggerClass(_Quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.showwarning = _say_nothing  # lightning adds filters when it is imported
            yield
    finally:
        logging.setLoggerClass(before)
        ours.removeHandler(handler)
        for name in added:
            os.environ.pop(name, None)


def _say_nothing(*args: object, **kwargs: object) -> None:
    """Stand in for `warnings.showwarning`."""


@contextlib.contextmanager
def _native_silence() -> Iterator[None]:
    """Keep sys.stderr, but point descriptor 2, where libpng and libjpeg complain, at nothing.

    A crash of the interpreter is still reported: faulthandler writes to the descriptor we keep.
    """
    if not _writes_to(sys.stderr, 2):  # replaced by a test or a host program
        yield
        return
    before, kept = sys.stderr, os.dup(2)
    # never closed: handlers of dependencies may hold it until the interpreter ends
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=before.encoding, errors=before.errors)
    faulthandler.enable(file=kept)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        sys.stderr = before


def _writes_to(stream: object, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)  # type: ignore[attr-defined]  # may have none
    except (AttributeError, OSError, ValueError):
        return False
