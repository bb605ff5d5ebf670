"""What do loss and gradient cost from coarse scores: ours, or torch's interpolate, cross_entropy?

Regime: forward and backward, float32 scores in channels-last memory as networks leave them, uint8
labels in regions of 16 pixels with a tenth of void, CPU. 21 classes, 8 x 513x513, and 150 classes,
4 x 512x512, both at stride 8; 11 classes, 8 x 320x320 at stride 4 as the shipped recipes train;
the first at stride 4 too, and scores of the labels' own size. Torch takes the labels as int64,
converted outside the clock. With one thread CPU seconds of the process are read (so that a busy
machine does not count), else the clock. The contenders take turns, round after round, on the same
numbers; gradients must agree to 1e-5 of the largest. Peak memory is what one call adds, gradient
included, each in a process of its own.

`ours, lines` is the form in torch operations, for devices and dtypes without a kernel.

Run: python benchmarks/bench_upsample_cross_entropy.py [--rounds 7] [--threads 2] [--device cuda]
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
from unittest import mock

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ours = importlib.import_module("atrous.ops.upsample_cross_entropy")

REGIMES = {
    "21 x 513, stride 8": (8, 21, (65, 65), (513, 513)),
    "150 x 512, stride 8": (4, 150, (64, 64), (512, 512)),
    "11 x 320, stride 4": (8, 11, (80, 80), (320, 320)),
    "21 x 513, stride 4": (8, 21, (129, 129), (513, 513)),
    "11 x 320, stride 1": (8, 11, (320, 320), (320, 320)),
}
VOID = 255


def by_us(scores: Tensor, labels: Tensor) -> Tensor:
    """Take the form that the public function takes."""
    loss = ours.upsample_cross_entropy(scores, labels)
    return torch.autograd.grad(loss, scores)[0]


def by_lines(scores: Tensor, labels: Tensor) -> Tensor:
    """Take the form in torch operations."""
    with mock.patch.object(ours, "_form_for", return_value=ours.sum_in_lines):
        return by_us(scores, labels)


def by_torch(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute all scores at full size."""
    full = scores
    if scores.shape[2:] != labels.shape[1:]:
        full = functional.interpolate(scores, labels.shape[1:], mode="bilinear")
    loss = functional.cross_entropy(full, labels, ignore_index=VOID)
    return torch.autograd.grad(loss, scores)[0]


CONTENDERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ours": by_us,
    "ours, lines": by_lines,
    "torch": by_torch,
}


def batch_of(regime: str, device: str) -> tuple[Tensor, Tensor]:
    """Return made scores, and labels in regions."""
    count, classes, shape, size = REGIMES[regime]
    torch.manual_seed(0)
    scores = 3 * torch.randn(count, classes, *shape)
    coarse = torch.randint(0, classes, (count, 1, *(side // 16 for side in size))).float()
    coarse[torch.rand(coarse.shape) < 0.1] = VOID
    labels = functional.interpolate(coarse, size)[:, 0].to(torch.uint8)
    scores = scores.to(device).contiguous(memory_format=torch.channels_last)
    return scores.requires_grad_(), labels.to(device)


def measure(
    regime: str, names: list[str], rounds: int, threads: int, device: str
) -> dict[str, list[float]]:
    """Return milliseconds of each contender in each round, warm-up left out."""
    scores, labels = batch_of(regime, device)
    whole = labels.long()
    expected = by_torch(scores, whole)
    clock = time.process_time_ns if threads == 1 and device == "cpu" else time.perf_counter_ns
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names:
            given = whole if name == "torch" else labels
            wait_for(device)
            begin = clock()
            gradient = CONTENDERS[name](scores, given)
            wait_for(device)
            milliseconds = (clock() - begin) / 1e6
            assert (gradient - expected).abs().max() < 1e-5 * expected.abs().max(), name
            del gradient
            if number:
                taken[name].append(milliseconds)
    return taken


def wait_for(device: str) -> None:
    """Wait until the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_mib(regime: str, name: str, device: str, threads: int) -> float:
    """Return the MiB that one call adds to what the process already used."""
    torch.set_num_threads(threads)
    scores, labels = batch_of(regime, device)
    labels = labels.long() if name == "torch" else labels
    part = scores.detach()[:1].requires_grad_()  # loads what it needs
    CONTENDERS[name](part, labels[:1])
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        CONTENDERS[name](scores, labels)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    forget_high_water()
    before = high_water_kib()
    CONTENDERS[name](scores, labels)
    return (high_water_kib() - before) / 1024


def forget_high_water() -> None:
    """Set the high-water mark to what is in use now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def high_water_kib() -> int:
    """Return the most memory this process has used (Linux); getrusage would count the parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--regimes", nargs="+", choices=tuple(REGIMES), default=tuple(REGIMES))
    parser.add_argument(
        "--contenders", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS)
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    figures: dict[str, object] = {}
    spawn = multiprocessing.get_context("spawn")
    for regime in given.regimes:
        taken = measure(regime, given.contenders, given.rounds, given.threads, given.device)
        own = float(np.median(taken[given.contenders[0]]))
        for name, times in taken.items():
            low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
            with ProcessPoolExecutor(1, mp_context=spawn) as alone:
                task = alone.submit(peak_mib, regime, name, given.device, given.threads)
                peak = task.result()
            print(
                f"{regime:20}  {name:12}  {middle:8.1f} ms  ({low:.1f}-{high:.1f})  "
                f"{middle / own:6.1f} x {given.contenders[0]}  {peak:7.1f} MiB",
                flush=True,
            )
            figures[f"{regime}/{name}"] = {
                "ms": [low, middle, high],
                f"of_{given.contenders[0]}": middle / own,
                "peak_mib": peak,
            }
    print(json.dumps({**figures, **surroundings(given.threads, given.device)}))


def surroundings(threads: int, device: str) -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return {
        "commit": commit.strip(),
        "machine": f"{name}, {os.cpu_count()} cores",
        "threads": threads,
        "versions": {
            "numpy": np.__version__,
            "torch": torch.__version__,
            "numba": numba.__version__,
        },
    }


if __name__ == "__main__":
    main()
