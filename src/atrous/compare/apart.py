"""A piece of work in a process of its own: its memory ends with it, and so does its crash.

A network that was trained leaves the heap larger than it found it, so peak memory is measured in a
fresh process; and one that the system kills for want of memory must not take the others along.

The child leads a session of its own, so that Ctrl-C reaches the parent alone, which passes it on:
training then finishes its step and saves. A child whose parent has been killed ends at once.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from atrous.errors import InputError, is_out_of_memory

__all__ = ["Tell", "WorkFailed", "apart"]

T = TypeVar("T")
Tell = Callable[[str, float], None]
"""How a piece of work says what it is doing, and which fraction of it is done."""

Work = Callable[..., T]
KILL_AFTER = 3
"""So many Ctrl-C end the child at once; it can be gone on with even so."""


class WorkFailed(Exception):  # noqa: N818 - reads as what happened
    """The work ended without a result; the text says why, in one line."""


def apart(work: Work[T], *arguments: object, log: Path, tell: Tell) -> T:
    """Return `work(*arguments, tell)`, called in a process of its own.

    Args:
        work: A function of a module, for the child imports it.
        arguments: Plain data.
        log: Gets what the child and its libraries print, stack traces included.
        tell: Is told how far the work has come.

    Raises:
        WorkFailed: It raised something, or its process died.
        KeyboardInterrupt: Ctrl-C, once the child has ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_inside, args=(theirs, str(log), work, arguments))
    process.start()
    theirs.close()
    with _passing_on_interrupts(process) as interrupts:
        kind, content = _heard(ours, tell)
        process.join()
    if interrupts or kind == "interrupted":
        raise KeyboardInterrupt
    if kind == "result":
        return content  # type: ignore[return-value]  # what `work` returned, through the pipe
    raise WorkFailed(str(content) if kind == "failed" else _died(process, log))


def _heard(ours: Connection, tell: Tell) -> tuple[str, object]:
    """Pass on what the child tells until it ends; return its last word, ("died", None) if none."""
    while True:
        try:
            kind, content = ours.recv()
        except (EOFError, OSError):
            return "died", None
        if kind != "tell":
            return kind, content
        tell(*content)


@contextmanager
def _passing_on_interrupts(process: BaseProcess) -> Iterator[list[int]]:
    """Send each Ctrl-C of this process to the child; yield a list that remembers them."""
    interrupts: list[int] = []

    def pass_on(signum: int, frame: object) -> None:
        interrupts.append(signum)
        assert process.pid is not None  # it was started
        with suppress(ProcessLookupError):  # it has ended
            if len(interrupts) >= KILL_AFTER:
                process.kill()
            else:
                os.kill(process.pid, signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _died(process: BaseProcess, log: Path) -> str:
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return (
            "its process was killed, most often for lack of memory; lower --crop or --batch-size, "
            "or close other programs"
        )
    told = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"its process ended {told}; what it printed last is in {log}"


def _inside(
    connection: Connection, log: str, work: Work[object], arguments: tuple[object, ...]
) -> None:
    """Be the child: quiet, out of reach of Ctrl-C, no longer than its parent."""
    with suppress(AttributeError, OSError):  # AttributeError: Windows
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = Path(log).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - till the end
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = file

    def tell(what: str, share: float) -> None:
        connection.send(("tell", (what, share)))

    try:
        connection.send(("result", work(*arguments, tell)))
    except KeyboardInterrupt:
        connection.send(("interrupted", None))
    except InputError as error:
        connection.send(("failed", " ".join(str(error).split())))
    except Exception as error:  # whatever it is, it is one failed row
        traceback.print_exc()
        connection.send(("failed", _in_a_line(error, log)))


def _in_a_line(error: Exception, log: str) -> str:
    if is_out_of_memory(error):
        return "out of memory; lower --crop or --batch-size, or close other programs"
    first = (str(error).strip().splitlines() or [""])[0][:160]
    return f"a defect of atrous: {type(error).__name__}: {first} (trace: {log})"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
