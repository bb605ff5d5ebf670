"""What images are called in tables and messages."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["image_names"]


def image_names(paths: Sequence[Path]) -> list[str]:
    """Return the file names of images or, if one repeats, paths from their common folder.

    Example:
        >>> image_names([Path("val/a/1.png"), Path("val/b/1.png")])
        ['a/1.png', 'b/1.png']
    """
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    folder = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(folder).as_posix() for path in paths]
