"""What does each loss cost for an image of 320x320, gradient included? CPU.

Regime: scores of 11 classes at stride 4, float32 in channels-last memory as networks leave them;
uint8 labels of made street scenes, which show seven to nine classes each; forward and backward on
batches of four. CPU seconds of one thread are read, so that a busy machine does not count. The
losses take turns, round after round, on the same numbers.

Run: python benchmarks/bench_losses.py [--rounds 7]
"""

import argparse
import json
import platform
import subprocess
import time

import numpy as np
import torch
from torch import Tensor

import atrous
from atrous.data import make_scene
from atrous.training.losses import LOSSES, Targets, parse_loss

IMAGES, CLASSES, SIDE, STRIDE = 4, 11, 320, 4


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    scores, targets = batch()
    taken: dict[str, list[float]] = {name: [] for name in LOSSES}
    for number in range(rounds + 1):
        for name, times in taken.items():
            milliseconds = once(name, scores, targets)
            if number:  # the first round compiles
                times.append(milliseconds / IMAGES)
    figures = {name: np.quantile(times, [0.25, 0.5, 0.75]) for name, times in taken.items()}
    for name, (low, middle, high) in figures.items():
        print(f"{name:14} {middle:7.1f} ms an image  ({low:.1f}-{high:.1f})")
    print(json.dumps({name: list(values) for name, values in figures.items()} | surroundings()))


def batch() -> tuple[Tensor, Targets]:
    """Return made scores, and the labels of made scenes."""
    torch.manual_seed(0)
    scores = 3 * torch.randn(IMAGES, CLASSES, SIDE // STRIDE, SIDE // STRIDE)
    labels = np.stack([make_scene(seed, (SIDE, SIDE))[1] for seed in range(IMAGES)])
    scores = scores.contiguous(memory_format=torch.channels_last).requires_grad_()
    return scores, Targets(torch.from_numpy(labels), torch.ones(CLASSES))


def once(name: str, scores: Tensor, targets: Targets) -> float:
    """Return the CPU milliseconds of a loss and its gradient."""
    begin = time.process_time_ns()
    torch.autograd.grad(parse_loss(name)(scores, targets), scores)
    return (time.process_time_ns() - begin) / 1e6


def surroundings() -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    versions = {"atrous": atrous.__version__, "torch": torch.__version__}
    return {
        "commit": commit.strip(),
        "machine": platform.machine(),
        "threads": 1,
        "versions": versions,
    }


if __name__ == "__main__":
    main()
