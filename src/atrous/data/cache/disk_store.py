"""Decoded pairs in the user's cache folder: a file each, found again by the next run.

A file is written beside its place and renamed, so two processes that decode the same pair at once
do no harm. It is not synced, which would cost more than decoding: its checksum tells a whole one.
The pair's paths are the name, so a changed image takes the place of what it was before.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from atrous.data.cache.entry import pack, unpack
from atrous.data.layout import Pair

__all__ = ["DiskStore"]

ABANDONED_SECONDS = 24 * 3600
"""A half-written file this old is nobody's any more."""

logger = logging.getLogger(__name__)


class DiskStore:
    """A folder of decoded pairs.

    Args:
        folder: One for all that decode alike: the same files, decoders, classes and channels.
    """

    kind: Literal["memory", "disk"] = "disk"
    memory = 0  # the system's own cache of files gives way to whoever needs it

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writes = True
        self._checked: set[bytes] = set()

    def find(self, pair: Pair, key: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Return image and labels, read-only, if they are there whole and under this key."""
        try:
            content = np.memmap(self._place(pair), np.uint8, mode="r").view(np.ndarray)
        except (OSError, ValueError):  # ValueError: an empty file
            return None
        found = unpack(content, key, is_checked=key in self._checked)
        if found is not None:
            self._checked.add(key)
        return found

    def keep(self, pair: Pair, key: bytes, image: np.ndarray, labels: np.ndarray) -> None:
        """Keep image and labels; once the disk is full or read-only, say so and keep no more."""
        if not self._writes:
            return
        try:
            self._write(self._place(pair), pack(key, image, labels))
        except OSError as error:
            self._writes = False
            what = error.strerror or error
            logger.warning("cache %s: %s; the rest is decoded every time", self.folder, what)

    def kept_bytes(self, pairs: Iterable[Pair]) -> int:
        """Return the bytes that pairs take in the folder, and remove abandoned halves."""
        with suppress(OSError):
            for part in self.folder.glob("*.part"):
                with suppress(OSError):  # another process was first
                    if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                        part.unlink()
        total = 0
        for pair in pairs:
            with suppress(OSError):
                total += self._place(pair).stat().st_size
        return total

    def _place(self, pair: Pair) -> Path:
        names = os.fsencode(pair.image) + b"\0" + os.fsencode(pair.mask)
        return self.folder / f"{hashlib.blake2b(names, digest_size=16).hexdigest()}.pair"

    def _write(self, place: Path, content: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=place.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
