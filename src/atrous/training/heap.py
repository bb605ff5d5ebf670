"""The C library's heap, told to keep what a step frees, because the next step wants it again.

glibc maps every large block afresh and gives it back on release, so each step of a training on
the CPU faults in all its activations again, page by page, zeroed by the kernel: with MobileNetV2
at 8 x 320 x 320 that took 118 000 faults a second, and without them 6.9 instead of 4.7 images were
trained a second (two cores, bf16; `benchmarks/bench_heap.py` measures it).
"""

import ctypes
from contextlib import suppress

__all__ = ["keep_freed_memory"]

# glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = -1
_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; its peak stays what it was.

    It holds until the process ends, for every library in it.

    Returns:
        False where the C library has no such choice (musl, macOS, Windows).
    """
    with suppress(OSError, AttributeError, TypeError):
        choose = ctypes.CDLL(None).mallopt
        choices = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD_BYTES))
        return all([choose(name, value) == 1 for name, value in choices])  # noqa: C419 - try all
    return False
