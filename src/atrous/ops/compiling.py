"""How kernels are compiled: at the first call, for the types that come, kept on disk."""

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba, without the GIL, so that threads can share the work.

    The result is kept beside the file, or in the user's cache where that is read-only. Divisions
    by zero give infinity as in C. No `parallel=True`: its threads may not be entered twice.
    """
    try:
        result: Callable[..., Any] = numba.njit(nogil=True, cache=True, error_model="numpy")(
            function
        )
    except RuntimeError:  # no folder is writable: compile in every process
        result = numba.njit(nogil=True, error_model="numpy")(function)
    return result
