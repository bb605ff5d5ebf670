"""How kernels are compiled: at the first call, for the types that come, kept on disk."""

import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

__all__ = ["compiled"]

_log = logging.getLogger(__name__)

ROOMS = ("ops", "crf", "evaluation")
"""Where compiled functions, and those that they contain, stand."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba, without the GIL, so that threads can share the work.

    The result is kept beside the file, or in the user's cache where that is read-only. Divisions
    by zero give infinity as in C. No `parallel=True`: its threads may not be entered twice.

    numba takes a kept result for new as long as the file of the function itself is the same, even
    if one that it calls, and so contains, has changed elsewhere. So the name under which it is kept
    says what all of them looked like.
    """
    function.__qualname__ += f"_{_stamp()}"
    try:
        result: Callable[..., Any] = numba.njit(nogil=True, cache=True, error_model="numpy")(
            function
        )
    except RuntimeError:  # no folder is writable: compile in every process
        result = numba.njit(nogil=True, error_model="numpy")(function)
    return result


class _Tell(event.Listener):
    """Logs, once a process, that compilers are at work: nothing else explains the wait."""

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(f"{__package__}."):
            _compiles()

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


@functools.cache
def _compiles() -> None:
    _log.info("compiling for this processor, up to half a minute; kept for the next time")


event.register("numba:compile", _Tell())  # type: ignore[no-untyped-call]  # numba has few types


@functools.cache
def _stamp() -> str:
    """Return a short hash of all that may be contained in a compiled function."""
    here = Path(__file__).resolve()
    rooms = [path for room in ROOMS for path in sorted((here.parent / room).glob("*.py"))]
    found = hashlib.sha256()
    for path in [here, *rooms]:  # how it compiles, and what
        found.update(path.read_bytes())
    return found.hexdigest()[:12]
