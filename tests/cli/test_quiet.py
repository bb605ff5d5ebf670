"""What reaches stderr while a command runs."""

import io
import logging
import sys

import pytest

from atrous.cli.quiet import quiet


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, name: str) -> str:
    """Return what a new logger's three lines leave on a stream."""
    monkeypatch.setattr(sys, "stderr", stream)
    with quiet():
        log = logging.getLoggerClass()(name)
        log.handlers = logging.getLogger("atrous").handlers
        log.setLevel(logging.INFO)
        log.debug("small")
        log.info("waiting")
        log.warning("odd")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "name", "lines"),
    [
        (Terminal(), "atrous.compiling", "  waiting\nwarning: odd\n"),
        (io.StringIO(), "atrous.compiling", "warning: odd\n"),
        (Terminal(), "atrous.models", "warning: odd\n"),
        (Terminal(), "lightning", ""),
    ],
    ids=["at a terminal", "in a file", "another room", "a dependency"],
)
def test_people_at_a_terminal_are_told_what_they_wait_for(
    stream: io.StringIO, name: str, lines: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(monkeypatch, stream, name) == lines
