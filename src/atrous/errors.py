"""Mistakes that the person at the keyboard can mend, and the closest name to what they typed."""

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "closest", "is_out_of_memory", "unknown"]

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "insufficient mem")
"""How torch's and OpenCV's allocators say it, in errors that have no class of their own."""


class InputError(ValueError):
    """Something given from outside is wrong; the message says what, where and what to do.

    The command line prints the message as one line and leaves the stack trace to `--debug`.
    Every other exception that reaches it is a defect of ours.
    """


def closest(name: str, choices: Iterable[str], *, count: int = 5) -> list[str]:
    """Return at most `count` of `choices`, the most similar to `name` first.

    Example:
        >>> closest("deeplabv3+", ["unet", "deeplab_v3_plus"])
        ['deeplab_v3_plus']
    """
    name = name.replace("+", "_plus")  # as the papers write it
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), list(lowered), n=count, cutoff=0.5)
    return [lowered[match] for match in found]


def unknown(kind: str, name: str, choices: Iterable[str], *, see: str = "") -> InputError:
    """Build the error for a name that is not among `choices`.

    Args:
        kind: What the name should have been: "model", "encoder", "option".
        name: What came.
        choices: Every valid name.
        see: Where all names are listed, e.g. "atrous models".

    Example:
        >>> print(unknown("model", "unett", ["unet", "fcn8s"], see="atrous models"))
        unknown model 'unett'; did you mean unet? (all: atrous models)
    """
    names = sorted(choices)
    near = closest(name, names) or names[:5]
    where = f" (all: {see})" if see else ""
    return InputError(f"unknown {kind} {name!r}; did you mean {', '.join(near)}?{where}")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` is a failed allocation, in RAM or on an accelerator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    is_native = isinstance(error, RuntimeError) or type(error).__module__.startswith("cv2")
    return is_native and any(words in str(error).lower() for words in NO_MEMORY)
