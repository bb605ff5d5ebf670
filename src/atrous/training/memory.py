"""How much memory there is and how much was taken: what the size of a micro-batch is chosen by."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

__all__ = ["ASSUMED_PER_IMAGE", "free_memory", "free_ram", "read_peak", "start_peak"]

ASSUMED_FREE = 4 * 2**30
"""Free RAM where the system tells nothing (Windows) ..."""

ASSUMED_PER_IMAGE = 2**29
"""... nor what an image takes: so four at once."""


def free_memory(device: str) -> int:
    """Return the bytes that are free on "cpu" or "cuda"."""
    return int(torch.cuda.mem_get_info()[0]) if device == "cuda" else free_ram()


def free_ram(root: Path = Path("/")) -> int:
    """Return the bytes of RAM that this process may still take.

    On Linux what the kernel has available or what the control groups (containers, batch systems)
    leave, whichever is smaller; elsewhere half of the RAM.

    Args:
        root: Where /proc and /sys are.
    """
    available = _field(root / "proc/meminfo", "MemAvailable:")
    if available is not None:
        return max(0, min([1024 * available, *_left_by_groups(root)]))
    with suppress(AttributeError, OSError, ValueError):  # AttributeError: Windows
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return ASSUMED_FREE


def start_peak(device: str) -> int:
    """Reset the peak counter where there is one; return the bytes in use now, 0 if unknown."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _own_bytes("VmRSS:")


def read_peak(device: str) -> int:
    """Return the largest number of bytes in use since `start_peak`."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _own_bytes("VmHWM:")


def _own_bytes(name: str) -> int:
    """Return a memory field of this process; elsewhere its peak since it began, 0 on Windows."""
    kilobytes = _field(Path("/proc/self/status"), name)
    if kilobytes is not None:
        return 1024 * kilobytes
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    return 0


def _left_by_groups(root: Path) -> list[int]:
    """Return what each control group above this process leaves; those without limit are left out.

    Cached files count as used there, but the kernel gives them up first.
    """
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        groups = [line.split(":", 2)[1:] for line in lines if line.count(":") >= 2]
        return [
            left
            for controllers, path in groups
            for left in _left(root / "sys/fs/cgroup", controllers, path.strip("/"))
        ]
    return []


def _left(mount: Path, controllers: str, path: str) -> list[int]:
    """Walk from a process's group up to the root: every limit on the way holds."""
    if controllers == "":  # version 2
        top, limit, used, cached = mount, "memory.max", "memory.current", "inactive_file"
    elif "memory" in controllers.split(","):
        top, cached = mount / "memory", "total_inactive_file"
        limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
    else:
        return []
    found = []
    group = top / path
    for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
        with suppress(OSError, ValueError):  # ValueError: "max"
            most, taken = (int((folder / name).read_text()) for name in (limit, used))
            found.append(most - taken + (_field(folder / "memory.stat", cached) or 0))
    return found


def _field(path: Path, name: str) -> int | None:
    """Return the number behind `name` in a file of lines "name number", None if there is none."""
    with suppress(OSError, ValueError, IndexError, StopIteration):
        lines = (line.split() for line in path.read_text().splitlines())
        return int(next(line for line in lines if line[:1] == [name])[1])
    return None
