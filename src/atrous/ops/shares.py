"""Work on many rows, shared among torch's number of threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["in_shares"]


def in_shares(work: Callable[[int, int], None], rows: int) -> None:
    """Call `work(begin, end)` for shares of `rows` side by side; it must not hold the GIL.

    The calling thread takes the first share. What a share raises is raised here.
    """
    threads = min(torch.get_num_threads(), rows)
    if threads == 1:
        work(0, rows)
        return
    cuts = [rows * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = pool.map(work, cuts[1:-1], cuts[2:])
        work(0, cuts[1])
        list(others)
