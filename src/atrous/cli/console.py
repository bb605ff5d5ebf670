"""What the terminal shows: results on stdout, progress on stderr, one JSON object when asked."""

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path

from atrous.cli.progress import Progress, progress

__all__ = [
    "Progress",
    "answer",
    "as_json",
    "json_mode",
    "number",
    "parameters",
    "print_json",
    "progress",
    "say",
    "size",
    "style",
    "table",
    "warn",
]

_json_mode: ContextVar[bool] = ContextVar("json_mode", default=False)


@contextlib.contextmanager
def json_mode(wanted: bool) -> Iterator[None]:
    """Within the block, stdout is kept for one JSON object (`--json`); main.py opens it."""
    token = _json_mode.set(wanted)
    try:
        yield
    finally:
        _json_mode.reset(token)


def as_json() -> bool:
    """Whether the user asked for `--json`."""
    return _json_mode.get()


def say(text: str = "") -> None:
    """Print a line for people: on stdout, or on stderr where stdout is kept for `--json`."""
    print(text, file=sys.stderr if as_json() else sys.stdout, flush=True)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def answer(text: str, content: Mapping[str, object]) -> None:
    """Print the result of a command, once: `text` for people, or `content` with `--json`."""
    if as_json():
        print_json(content)
    else:
        say(text)


def print_json(content: Mapping[str, object]) -> None:
    """Print `content` as one JSON object on stdout; paths become text, NaN becomes null."""
    print(json.dumps(_plain(content), indent=2, allow_nan=False), flush=True)


def style(text: str, *codes: str) -> str:
    """Return `text` in bold, dim, red ... where stdout is a terminal that shows colours."""
    import os

    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    numbers = {"bold": "1", "dim": "2", "red": "31", "green": "32", "cyan": "36"}
    return f"\x1b[{';'.join(numbers[code] for code in codes)}m{text}\x1b[0m"


def number(value: float) -> str:
    """Group the digits of a count.

    Example:
        >>> number(41984)
        '41 984'
    """
    return f"{round(value):,}".replace(",", " ")


def parameters(count: int) -> str:
    """Say how many parameters a network has, in millions.

    Example:
        >>> parameters(2_901_234)
        '2.9 M'
    """
    millions = count / 1e6
    return f"{millions:.1f} M" if millions >= 0.095 else f"{millions:.2f} M"


def size(count: int) -> str:
    """Say how large a file or an allocation of `count` bytes is.

    Example:
        >>> size(6_100_000), size(1_900_000_000), size(812)
        ('6 MB', '1.9 GB', '812 bytes')
    """
    for unit, bytes_each, digits in (("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if count >= 0.95 * bytes_each:
            value = count / bytes_each
            return f"{value:.{digits if value < 10 or unit == 'GB' else 0}f} {unit}"
    return f"{count} bytes"


def table(rows: list[tuple[str, ...]], *, right: tuple[int, ...] = ()) -> str:
    """Lay out rows of text in columns; the first row is the heading.

    Args:
        rows: Equally long rows.
        right: Indices of the columns whose text ends flush right (numbers).
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append((" " + "  ".join(cells)).rstrip())
    lines[0] = style(lines[0], "bold")
    return "\n".join(lines)


def _plain(value: object) -> object:
    """Turn paths, tuples, NumPy scalars and NaN into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy and torch, without importing them
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
