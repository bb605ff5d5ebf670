"""What do labels cost from coarse scores: ours, or torch's interpolate and then argmax?

Regime: float32 score maps at a quarter of the labels' size, a CamVid image (360 x 480, 11 classes)
and a Cityscapes image (1024 x 2048, 19 classes), each as `regions` (smooth maps, as a trained
network gives them) and as `noise` (no two cells agree: our worst case). CPU. With one thread CPU
seconds of the process are read (so that a busy machine does not count), else the clock. The
contenders take turns, round after round, on the same scores, and must agree on all labels but
those of near-ties. Peak memory is what one call adds, each in a process of its own.

`ours, torch` is the form that a process starts with, before the kernel is worth loading.

Run: python benchmarks/bench_upsample_argmax.py [--rounds 9] [--threads 1]
"""

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ours = importlib.import_module("atrous.ops.upsample_argmax")

Size = tuple[int, int]
REGIMES = {
    f"{data}, {kind}": (size, classes, kind)
    for data, size, classes in (("camvid", (360, 480), 11), ("cityscapes", (1024, 2048), 19))
    for kind in ("regions", "noise")
}


def by_torch(scores: Tensor, size: Size) -> Tensor:
    """Compute all logits at full resolution, then reduce them."""
    full = functional.interpolate(scores, size, mode="bilinear", align_corners=False)
    return full.argmax(1).to(torch.uint8)


CONTENDERS: dict[str, Callable[[Tensor, Size], Tensor]] = {
    "ours, kernel": lambda scores, size: ours._with_kernel(scores, size, False),
    "ours, torch": lambda scores, size: ours._with_torch(scores[0], size, False)[None],
    "interpolate, argmax": by_torch,
}


def scores_of(size: Size, classes: int, kind: str) -> Tensor:
    """Return made scores (1, K, H / 4, W / 4)."""
    torch.manual_seed(0)
    height, width = size[0] // 4, size[1] // 4
    if kind == "noise":
        return torch.randn(1, classes, height, width)
    seeds = torch.randn(1, classes, height // 8, width // 8)
    return functional.interpolate(seeds, (height, width), mode="bicubic")


def measure(regime: str, rounds: int, threads: int) -> dict[str, list[float]]:
    """Return milliseconds per image of each contender in each round, warm-up left out."""
    size, classes, kind = REGIMES[regime]
    scores = scores_of(size, classes, kind)
    expected = by_torch(scores, size)
    clock = time.process_time_ns if threads == 1 else time.perf_counter_ns
    taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name, label in CONTENDERS.items():
            begin = clock()
            labels = label(scores, size)
            milliseconds = (clock() - begin) / 1e6
            assert (labels != expected).float().mean() < 1e-5, name
            if number:
                taken[name].append(milliseconds)
    return taken


def peak_mb(regime: str, name: str) -> float:
    """Return the megabytes that one call adds to what the process already used."""
    size, classes, kind = REGIMES[regime]
    torch.set_num_threads(1)
    scores = scores_of(size, classes, kind)
    CONTENDERS[name](scores[..., :8, :8].contiguous(), (32, 32))  # loads what it needs
    before = high_water_kb()
    CONTENDERS[name](scores, size)
    return (high_water_kb() - before) / 1024


def high_water_kb() -> int:
    """Return the most memory this process has used (Linux); getrusage would count the parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    figures: dict[str, object] = {}
    spawn = multiprocessing.get_context("spawn")
    for regime in REGIMES:
        taken = measure(regime, given.rounds, given.threads)
        own = float(np.median(taken["ours, kernel"]))
        for name, times in taken.items():
            low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
            with ProcessPoolExecutor(1, mp_context=spawn) as alone:
                peak = alone.submit(peak_mb, regime, name).result()
            print(
                f"{regime:20}  {name:20}  {middle:8.2f} ms  ({low:.2f}-{high:.2f})  "
                f"{middle / own:6.1f} x the kernel  {peak:7.1f} MB"
            )
            figures[f"{regime}/{name}"] = {
                "ms": [low, middle, high],
                "of_kernel": middle / own,
                "peak_mb": peak,
            }
    print(json.dumps({**figures, **surroundings(given.threads)}))


def surroundings(threads: int) -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    return {
        "commit": commit.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": threads,
        "versions": {
            "numpy": np.__version__,
            "torch": torch.__version__,
            "numba": numba.__version__,
        },
    }


if __name__ == "__main__":
    main()
