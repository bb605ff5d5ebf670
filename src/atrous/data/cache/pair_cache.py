"""Decode once: pairs looked up by what their files are at this moment.

A file that has changed has another key, so what was decoded from it before is never found again.
The key takes path, size and both times from the file system: a rewritten file has a new change
time even where somebody sets its modification time back. A file younger than the clock's tick may
change once more without a trace, so it is not kept yet (git's "racy" index entries).
"""

import hashlib
import os
import time
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from atrous.data.cache.entry import KEY_BYTES
from atrous.data.layout import Pair

__all__ = ["PairCache", "Store", "pair_key"]

RACY_NANOSECONDS = 2_000_000_000
"""The coarsest clock of a usual file system (FAT) ticks every two seconds."""

Decoded = tuple[np.ndarray, np.ndarray]


class Store(Protocol):
    """Where decoded pairs lie.

    Attributes:
        kind: What users call it.
        memory: Bytes of memory that it has taken.
    """

    kind: Literal["memory", "disk"]
    memory: int

    def find(self, pair: Pair, key: bytes) -> Decoded | None:
        """Return image and labels, read-only, if they are there whole and under this key."""
        ...

    def keep(self, pair: Pair, key: bytes, image: np.ndarray, labels: np.ndarray) -> None:
        """Keep image and labels if there is room; never raises."""
        ...


class PairCache:
    """Pairs as decoded before, or decoded now and kept.

    Several processes may share a store: at worst they decode the same pair at the same time.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kind: Literal["memory", "disk"] = store.kind

    def read(self, pair: Pair, decode: Callable[[Pair], Decoded]) -> Decoded:
        """Return image (H, W, C) and labels (H, W), not to be written to.

        Args:
            pair: The files.
            decode: Reads them; what it raises goes to the caller.
        """
        before = pair_key(pair)
        if before is None:
            return decode(pair)  # says what is wrong
        key, is_settled = before
        found = self.store.find(pair, key)
        if found is not None:
            return found
        image, labels = decode(pair)
        if is_settled and pair_key(pair) == before:
            self.store.keep(pair, key, image, labels)
        return image, labels


def pair_key(pair: Pair) -> tuple[bytes, bool] | None:
    """Return what identifies the files as they are now, and whether a change would be seen.

    None if one of them is gone.
    """
    digest, newest = hashlib.blake2b(digest_size=KEY_BYTES), 0
    for path in (pair.image, pair.mask):
        try:
            facts = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, at every sample
        except OSError:
            return None
        times = facts.st_mtime_ns, facts.st_ctime_ns
        digest.update(f"{path}\0{facts.st_size}\0{times}\0".encode(errors="surrogateescape"))
        newest = max(newest, *times)
    is_settled = not 0 <= time.time_ns() - newest < RACY_NANOSECONDS
    return digest.digest(), is_settled
