"""What goes wrong, as one line and an exit code: what came, what is needed, what to do."""

import errno
import sys
import traceback
from pathlib import Path

from atrous.cli.commands import Command
from atrous.cli.habits import UsageError
from atrous.errors import InputError, is_out_of_memory

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_USAGE", "describe", "show_trace"]

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def describe(error: BaseException, command: Command | None) -> tuple[str, int]:
    """Return the line that the user reads, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted", INTERRUPTED  # the text says how to go on
    if isinstance(error, UsageError):
        return f"error: {_one_line(error)}", WRONG_USAGE
    if isinstance(error, InputError):
        return f"error: {_one_line(error)}", FAILED
    if is_out_of_memory(error):
        remedy = command.out_of_memory if command else "close other programs"
        return f"error: out of memory; {remedy}", FAILED
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return f"error: {_of_a_loader(str(error), command)}", FAILED
    if isinstance(error, OSError) and error.errno is not None:
        return f"error: {_of_the_system(error, command)}", FAILED
    return f"error: a defect of atrous, not of yours: {_where(error)}", FAILED


def _of_a_loader(told: str, command: Command | None) -> str:
    """Tell a loader process that was asked to end from one that was killed, as far as torch can."""
    go_on = command.go_on if command else "run it again"
    outside = "a time limit or somebody's kill"
    if "signal: Terminated" in told:
        return f"a loader process was ended from outside (SIGTERM: {outside}); {go_on}"
    return (
        "a loader process was killed, most often for lack of memory: lower --workers, or set "
        f"--workers 0; if it was {outside}, {go_on}"
    )


def _of_the_system(error: OSError, command: Command | None) -> str:
    """Describe what the operating system refused."""
    go_on = command.go_on if command else "run it again"
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}; free some space, then {go_on} (nothing is half written)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}{where}; give yourself the right or choose another folder"
    return f"{error.strerror}{where}; mend that, then {go_on}"


def _where(error: BaseException) -> str:
    """Name the exception and the innermost line of ours."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if f"{Path(__file__).parents[1]}" in frame.filename
    ]
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return (
        f"{type(error).__name__}: {_one_line(error)[:200]}{place}; "
        "please report it with what the same command prints with --debug"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def show_trace(error: BaseException) -> None:
    """Print the stack trace on stderr (`--debug`)."""
    traceback.print_exception(error, file=sys.stderr)
