"""OpenCV's own messages, held back while we decode: a damaged file is told once, by us."""

import contextlib
import threading
from collections.abc import Iterator

import cv2

__all__ = ["quiet_decoder"]

_lock = threading.Lock()
_open: list[int] = []  # the level before the first of the blocks that are open now, repeated


@contextlib.contextmanager
def quiet_decoder() -> Iterator[None]:
    """Silence OpenCV inside the block; the last of several threads restores the level."""
    log = cv2.utils.logging
    with _lock:
        _open.append(_open[0] if _open else log.getLogLevel())
        log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        with _lock:
            level = _open.pop()
            if not _open:
                log.setLogLevel(level)
