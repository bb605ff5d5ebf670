"""Mistakes that the person at the keyboard can mend, and the closest name to what they typed."""

import difflib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "InputError",
    "closest",
    "closest_path",
    "counted",
    "is_out_of_memory",
    "listed",
    "unknown",
]

FEW = 8
"""So many names are listed where none resembles what came."""

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "insufficient mem")
"""How torch's and OpenCV's allocators say it, in errors that have no class of their own."""


class InputError(ValueError):
    """Something given from outside is wrong; the message says what, where and what to do.

    The command line prints the message as one line and leaves the stack trace to `--debug`.
    Every other exception that reaches it is a defect of ours.
    """


SLIP = 0.25
"""Names less like the one that was typed than the best one by so much are not meant."""


def closest(name: str, choices: Iterable[str], *, count: int = 5) -> list[str]:
    """Return at most `count` of `choices`, the most similar to `name` first.

    Where one of them is hit but for a slip, those that only resemble `name` are left out.

    Example:
        >>> closest("deeplabv3+", ["unet", "deeplab_v3_plus"])
        ['deeplab_v3_plus']
    """
    name = name.replace("+", "_plus")  # as the papers write it
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), list(lowered), n=count, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, match, name.lower()).ratio() for match in found]
    is_near = [each > max(likeness) - SLIP for each in likeness]
    return [lowered[match] for match in itertools.compress(found, is_near)]


def unknown(kind: str, name: str, choices: Iterable[str], *, see: str = "") -> InputError:
    """Build the error for a name that is not among `choices`.

    Args:
        kind: What the name should have been: "model", "encoder", "option".
        name: What came.
        choices: Every valid name.
        see: Where all names are listed, e.g. "atrous models"; without it, some of them are where
            none resembles `name`.

    Example:
        >>> print(unknown("model", "unett", ["unet", "fcn8s"], see="atrous models"))
        unknown model 'unett'; did you mean unet? (all: atrous models)
    """
    names = sorted(choices)
    near = closest(name, names)
    where = f" (all: {see})" if see else ""
    if near:
        return InputError(f"unknown {kind} {name!r}; did you mean {', '.join(near)}?{where}")
    known = "" if see else f"; known: {listed(names, most=FEW) or 'none'}"
    return InputError(f"unknown {kind} {name!r}{known}{where}")


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Return names for a message, the first ones if there are many.

    Example:
        >>> listed(["sky", "road", "car"], most=2)
        'sky, road and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, what: str) -> str:
    """Return a number of things whose plural ends in s.

    Example:
        >>> counted(1, "mask"), counted(2000, "mask")
        ('1 mask', '2,000 masks')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def closest_path(path: Path) -> Path | None:
    """Return what lies on this disk and is written most like `path`; None if nothing is like it.

    Example:
        >>> closest_path(Path("rums/street"))  # doctest: +SKIP
        PosixPath('runs/street')
    """
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        if not (found / part).exists():
            try:
                near = closest(part, sorted(entry.name for entry in found.iterdir()), count=1)
            except OSError:  # a file, or a folder that may not be read
                return None
            if not near:
                return None
            part = near[0]
        found /= part
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` is a failed allocation, in RAM or on an accelerator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    is_native = isinstance(error, RuntimeError) or type(error).__module__.startswith("cv2")
    return is_native and any(words in str(error).lower() for words in NO_MEMORY)
