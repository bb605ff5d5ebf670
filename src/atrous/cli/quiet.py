"""Keeps the talk of dependencies off the terminal; `--debug` lets it through."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]

OURS = "atrous"
NATIVE = {  # read by libraries written in C++ when they are loaded
    "GLOG_minloglevel": "3",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OPENCV_LOG_LEVEL": "SILENT",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


class _Quiet(logging.Logger):
    """A logger that speaks from WARNING on if it is ours, from CRITICAL on if it is not.

    A level would not do: lightning sets its own when it is imported.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - overrides logging.Logger
        least = logging.WARNING if self.name.partition(".")[0] == OURS else logging.CRITICAL
        return level >= least and super().isEnabledFor(level)


class _OneLine(logging.Formatter):
    """`warning: the text`, without time and module."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {record.getMessage()}"


@contextlib.contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Within the block only our own warnings reach stderr, each as one line.

    Works on what is imported inside the block, which is everything heavy: commands import lazily.
    """
    if not wanted:
        yield
        return
    for name, value in NATIVE.items():
        os.environ.setdefault(name, value)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    ours, before = logging.getLogger(OURS), logging.getLoggerClass()
    ours.addHandler(handler)
    logging.setLoggerClass(_Quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.environ.setdefault("PYTHONWARNINGS", "ignore")  # for loader processes
            yield
    finally:
        logging.setLoggerClass(before)
        ours.removeHandler(handler)
