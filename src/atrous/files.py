"""Files that are whole or absent: written beside their place, synced, renamed."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from atrous.errors import InputError

__all__ = ["atomic_write", "check_place", "write_bytes", "write_json", "write_text"]


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` and rename it there when the block ends well.

    A reader sees the old file or the new one, never half of either; after a kill or a full disk
    the old file is intact. The data are on the disk (fsync) before the name is.

    Args:
        path: Where the file will be; its folder is made if it is missing.

    Raises:
        OSError: The disk is full, the folder is read-only, ...; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())  # mkstemp gives 0600
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def check_place(path: Path) -> None:
    """Refuse a place where no file can be; to be called before long work that ends in it.

    Args:
        path: Where the file will be; folders on the way may be missing.

    Raises:
        InputError: It is a folder, lies below a file, or may not be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, but a file is to be written; name one in it")
    home = next(folder for folder in path.absolute().parents if folder.exists())
    if not home.is_dir():
        raise InputError(
            f"{path} cannot be written: {home} is a file, no folder; name another place"
        )
    if not os.access(home, os.W_OK | os.X_OK):
        raise InputError(
            f"{path} cannot be written: no right to write in {home}; name another place"
        )


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path` as a whole or not at all."""
    with atomic_write(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` as a whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` as indented JSON to `path` as a whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems that cannot are left as they are."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
