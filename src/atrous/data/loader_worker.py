"""What a process that only reads and augments images sets up before its first image."""

import cv2
import numpy as np

__all__ = ["prepare_worker"]

KEPT_BYTES = 30_000_000
"""Just below glibc's limit of 32 MiB, above which it returns freed memory to the system."""


def prepare_worker(worker_id: int = 0) -> None:
    """Use no threads but this one, and keep freed memory for the next image; a `worker_init_fn`.

    OpenCV would start as many threads in each worker as there are cores. And glibc would give each
    image's memory back to the system and fault it in again, page by page, for the next one: that
    cost 1.2 ms of 1.8 ms for a warp to 512 x 512. It learns from the largest block ever freed not
    to, so one large block is taken and freed.
    """
    del worker_id
    # 0 is sequential; 1 would join the threads of the parent, and a forked worker hangs
    cv2.setNumThreads(0)
    np.empty(KEPT_BYTES, np.uint8)
