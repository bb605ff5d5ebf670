"""Where the decoded training images are kept: on the GPU, in memory, on disk, or nowhere.

In memory, on disk or nowhere: the batches are the same to the bit, and a run may go on with
another choice. On the device they are augmented there, which rounds otherwise (batch_transform.py).
"""

import dataclasses
import shutil

import torch

from atrous.data import DataSpec
from atrous.data.cache.opening import cached, decoded_sizes, disk_store, memory_store
from atrous.data.cache.resident_pairs import ResidentPairs
from atrous.errors import is_out_of_memory
from atrous.training.config import TrainConfig
from atrous.training.memory import free_memory, free_ram
from atrous.training.ranks import Ranks
from atrous.training.resident import resident_bytes, resident_pairs
from atrous.training.watch import Reporter

__all__ = ["cache_memory", "is_resident", "with_cache"]

SHARE = 0.25
"""Share of the free memory that decoded images take unasked; training comes first."""

LARGEST_SHARE = 0.9
"""Share of the free memory, or disk, that they may take where they are asked for."""


def with_cache(
    config: TrainConfig,
    spec: DataSpec,
    *,
    device: str,
    reporter: Reporter,
    ranks: Ranks | None = None,
) -> DataSpec:
    """Return the data, read through the cache that was asked for or the best there is room for.

    Left to itself it is the GPU, or on a CPU the memory, if a quarter of what is free there is
    enough; else none: the disk is filled only where somebody says so.

    Args:
        config: Says which; "device" needs all pixels of a crop to count (no patch sampling).
        spec: The data.
        device: "cpu" or "cuda".
        reporter: Is told why it is another than was asked for.
        ranks: The processes; those of one machine share its memory.
    """
    asked, processes = config.cache, ranks.local_world if ranks else 1
    try:
        if asked == "none":
            return spec
        if asked == "disk":
            return _on_disk(spec)
        if config.patch_sampling < 1 and asked == "device":
            raise _NoRoomError("--patch-sampling hides patches on the CPU")
        if asked == "device" or (device == "cuda" and _fits_device(spec, config)):
            return _on_device(spec, device)
        return _in_memory(spec, SHARE if asked == "auto" else LARGEST_SHARE, processes)
    except _NoRoomError as why:
        reporter.note(f"Cache    none: {why}; every image is decoded each time it is shown")
        return spec


def is_resident(spec: DataSpec) -> bool:
    """Return whether the training images lie on the device."""
    return isinstance(spec.cache, ResidentPairs)


def cache_memory(spec: DataSpec) -> int:
    """Return the bytes of memory, the device's or this process's, that the cache has taken."""
    if isinstance(spec.cache, ResidentPairs):
        return spec.cache.memory
    return spec.cache.store.memory if spec.cache else 0


class _NoRoomError(Exception):
    """Why there is no cache, in words."""


def _fits_device(spec: DataSpec, config: TrainConfig) -> bool:
    """Return whether "auto" may take the GPU's memory."""
    is_free = config.cache == "auto" and config.patch_sampling == 1
    return is_free and resident_bytes(spec) <= SHARE * free_memory("cuda")


def _on_device(spec: DataSpec, device: str) -> DataSpec:
    size, free = resident_bytes(spec), free_memory(device)
    if size > LARGEST_SHARE * free:
        raise _NoRoomError(
            f"the decoded images are {_bytes(size)} and {device} has {_bytes(free)} free"
        )
    try:
        return dataclasses.replace(spec, cache=resident_pairs(spec, device))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        raise _NoRoomError(f"{device} has no {_bytes(size)} for the decoded images") from error


def _in_memory(spec: DataSpec, share: float, processes: int) -> DataSpec:
    size, free = sum(decoded_sizes(spec, "train").values()), free_ram() // processes
    if size > share * free:
        raise _NoRoomError(
            f"the decoded images are {_bytes(size)}, more than the {_bytes(share * free)} they "
            f"may take of {_bytes(free)} of free memory (--cache disk keeps them on disk)"
        )
    try:
        return cached(spec, memory_store(spec, "train"))
    except RuntimeError as error:  # torch: no room in /dev/shm, which containers keep small
        why = f"the system gives no {_bytes(size)} of shared memory (docker run --shm-size)"
        raise _NoRoomError(why) from error


def _on_disk(spec: DataSpec) -> DataSpec:
    try:
        store = disk_store(spec)
        missing = sum(decoded_sizes(spec, "train").values())
        missing -= store.kept_bytes(spec.splits["train"])
        places = (store.folder, *store.folder.parents)
        free = shutil.disk_usage(next(place for place in places if place.exists())).free
    except (OSError, RuntimeError) as error:
        raise _NoRoomError(f"there is no cache folder ({error}); set XDG_CACHE_HOME") from error
    if missing > LARGEST_SHARE * free:
        what = (
            f"the decoded images are {_bytes(missing)} and {store.folder} has {_bytes(free)} free"
        )
        raise _NoRoomError(what)
    return cached(spec, store)


def _bytes(count: float) -> str:
    for unit, each in (("GB", 1e9), ("MB", 1e6)):
        if count >= each / 10:
            return f"{count / each:.1f} {unit}" if count >= each else f"{count / each:.2f} {unit}"
    return f"{count / 1e3:.0f} kB"
