"""What is wrong with a data set: one line each, with the file and the remedy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atrous.errors import InputError

__all__ = ["FileError", "Finding", "Severity", "one_line"]

Severity = Literal["error", "warning"]

LONGEST = 300  # characters of one sentence; what comes from a file may be of any length


@dataclass(frozen=True)
class Finding:
    """One fault of a data set.

    Attributes:
        severity: "error": the file cannot be used; "warning": it can, but the result may suffer.
        path: The file or folder it is about.
        what: What is wrong, in words that follow the path ("has 0 bytes").
        remedy: What to do about it ("copy it again").
    """

    severity: Severity
    path: Path
    what: str
    remedy: str

    def __post_init__(self) -> None:
        """Keep each sentence on one line of readable length, whatever the file held."""
        object.__setattr__(self, "what", one_line(self.what))
        object.__setattr__(self, "remedy", one_line(self.remedy))

    def __str__(self) -> str:
        """Return "path what -> remedy" as one line."""
        return f"{one_line(str(self.path))} {self.what} -> {self.remedy}"


class FileError(InputError):
    """One file is no usable image or mask; `finding` tells which, why and what to do."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        self.finding = Finding("error", path, what, remedy)
        super().__init__(str(self.finding))

    def __reduce__(self) -> tuple[type["FileError"], tuple[Path, str, str]]:
        """Let the fault travel out of a loader's worker process."""
        return type(self), (self.finding.path, self.finding.what, self.finding.remedy)


def one_line(text: str) -> str:
    r"""Return `text` without line breaks and control characters, shortened in the middle.

    Example:
        >>> one_line("a\nb")
        'a b'
    """
    flat = "".join(sign if sign.isprintable() else " " for sign in text)
    if len(flat) <= LONGEST:
        return flat
    half = (LONGEST - len(" ... ")) // 2
    return f"{flat[:half]} ... {flat[-half:]}"
