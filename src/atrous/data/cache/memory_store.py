"""Decoded pairs in memory that all processes of a run share.

It is one anonymous block that the system takes back whenever the last process ends, killed or not.
Loader processes find what any of them has decoded, whether they are forked or spawned. The memory
is taken at once, so that what is free is known before the first step.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from atrous.data.cache.entry import HEADER_BYTES, pack, unpack
from atrous.data.layout import Pair

__all__ = ["MemoryStore"]


class MemoryStore:
    """A slot for each pair.

    Args:
        sizes: Pair -> bytes of its entry. A pair that turns out to need another size is not kept.

    Raises:
        RuntimeError: The system gives no more shared memory.

    Attributes:
        memory: Bytes in all.
    """

    kind: Literal["memory", "disk"] = "memory"

    def __init__(self, sizes: Mapping[Pair, int]) -> None:
        rounded = [-(-size // HEADER_BYTES) * HEADER_BYTES for size in sizes.values()]
        starts = np.cumsum([0, *rounded]).tolist()
        self._slots = {
            pair: (start, start + size)
            for (pair, size), start in zip(sizes.items(), starts[:-1], strict=True)
        }
        self.memory = int(starts[-1])
        block = torch.empty(self.memory, dtype=torch.uint8)
        self._block: torch.Tensor = block.share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._checked: set[bytes] = set()

    def find(self, pair: Pair, key: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Return image and labels, read-only, if they are there whole and under this key."""
        if pair not in self._slots:
            return None
        start, end = self._slots[pair]
        content = self._block.numpy()[start:end]
        found = unpack(content, key, is_checked=key in self._checked)
        if found is not None:
            self._checked.add(key)
        return found

    def keep(self, pair: Pair, key: bytes, image: np.ndarray, labels: np.ndarray) -> None:
        """Keep image and labels where they fit their slot."""
        start, end = self._slots.get(pair, (0, 0))
        if end - start != HEADER_BYTES + image.nbytes + labels.nbytes:
            return
        content = np.frombuffer(pack(key, image, labels), np.uint8)
        self._block.numpy()[start:end] = content
