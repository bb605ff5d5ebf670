"""A data set with a cache of decoded pairs, in memory or on disk."""

import dataclasses
import hashlib
import os

import cv2
import PIL

from atrous.data.cache.disk_store import DiskStore
from atrous.data.cache.entry import entry_bytes
from atrous.data.cache.memory_store import MemoryStore
from atrous.data.cache.pair_cache import PairCache, Store
from atrous.data.layout import Pair
from atrous.data.scan_cache import user_cache
from atrous.data.spec import DataSpec

__all__ = ["cached", "decoded_sizes", "disk_store", "memory_store"]

VERSION = 1  # of what decoding gives: raise it when images or labels come out otherwise


def cached(spec: DataSpec, store: Store) -> DataSpec:
    """Return the same data, read through a store."""
    return dataclasses.replace(spec, cache=PairCache(store))


def decoded_sizes(spec: DataSpec, split: str) -> dict[Pair, int]:
    """Return the bytes that each pair of a split takes once it is decoded, masks included."""
    pairs, depths = spec.splits[split], spec.statistics[split].depths
    return {
        pair: entry_bytes(pixels, spec.channels, depth)
        for pair, (pixels, depth) in zip(pairs, depths, strict=True)
    }


def memory_store(spec: DataSpec, split: str) -> MemoryStore:
    """Return an empty store for all pairs of a split.

    Raises:
        RuntimeError: The system gives no more shared memory.
    """
    return MemoryStore(decoded_sizes(spec, split))


def disk_store(spec: DataSpec) -> DiskStore:
    """Return the store in the user's cache folder for all that decodes as this data set does.

    Raises:
        RuntimeError: There is no home folder.
    """
    digest = hashlib.blake2b(os.fsencode(spec.root.resolve()), digest_size=8)
    coding = sorted(spec.coding.indices.items()), sorted(spec.coding.colours.items())
    decoders = VERSION, cv2.__version__, PIL.__version__
    digest.update(repr((decoders, spec.channels, coding)).encode())
    return DiskStore(user_cache() / "decoded" / digest.hexdigest())
