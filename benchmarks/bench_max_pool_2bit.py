"""What do 2x2 pooling with indices and its unpooling cost: ours in 2 bits, or torch's in int64?

Regime: what VGG-16's first and last pooling see of a 512x512 image, 64 x 512 x 512 and
512 x 32 x 32, NCHW and channels-last, float32 and bfloat16, half of the values zero as after a
ReLU; each of pooling, unpooling and their backward passes, results allocated in every call. CPU.
With one thread CPU seconds of the process are read (so that a busy machine does not count), else
the clock. The contenders take turns, round after round, on the same values, and must agree bit for
bit. `ours, torch` is the form that a process starts with, before the kernels are worth loading.

Last, the bytes that the indices of all five poolings keep for the decoder.

Run: python benchmarks/bench_max_pool_2bit.py [--rounds 9] [--threads 2]
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ours = importlib.import_module("atrous.ops.max_pool_2bit")
forms = importlib.import_module("atrous.ops.max_pool_2bit_torch")

SHAPES = {"pool1": (1, 64, 512, 512), "pool5": (1, 512, 32, 32)}
KINDS = {
    "float32": (torch.float32, torch.contiguous_format),
    "float32 channels-last": (torch.float32, torch.channels_last),
    "bfloat16": (torch.bfloat16, torch.contiguous_format),
    "bfloat16 channels-last": (torch.bfloat16, torch.channels_last),
}
VGG16_AT_512 = ((64, 512), (128, 256), (256, 128), (512, 64), (512, 32))

Calls = dict[str, Callable[[], Tensor]]


def peer_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pool with torch, indices kept."""
    return functional.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)


def calls_of(shape: tuple[int, ...], kind: str) -> dict[str, Calls]:
    """Return, for each operation, what each contender has to do."""
    dtype, layout = KINDS[kind]
    torch.manual_seed(0)
    x = torch.randn(shape).relu().to(dtype).contiguous(memory_format=layout)
    height, width = shape[2:]
    pooled, codes = ours.max_pool_2bit(x)
    _, indices = peer_pool(x)
    leaf, values = (t.clone().requires_grad_() for t in (x, pooled))
    graphs = {
        "ours, kernel": (
            ours.max_pool_2bit(leaf)[0],
            ours.max_unpool_2bit(values, codes, (height, width)),
        ),
        "torch": (
            peer_pool(leaf)[0],
            functional.max_unpool2d(values, indices, 2, 2, output_size=[height, width]),
        ),
    }

    def gradient(name: str, which: int) -> Tensor:
        leaves, given = (leaf, values), (pooled, x)
        return torch.autograd.grad(
            graphs[name][which], leaves[which], given[which], retain_graph=True
        )[0]

    return {
        "pool": {
            "ours, kernel": lambda: ours.max_pool_2bit(x)[0],
            "ours, torch": lambda: forms.pool_with_torch(x, True)[0],
            "torch": lambda: peer_pool(x)[0],
        },
        "unpool": {
            "ours, kernel": lambda: ours.max_unpool_2bit(pooled, codes, (height, width)),
            "ours, torch": lambda: forms.spread_with_torch(pooled, codes, height, width),
            "torch": lambda: functional.max_unpool2d(
                pooled, indices, 2, 2, output_size=[height, width]
            ),
        },
        "pool, backward": {name: lambda name=name: gradient(name, 0) for name in graphs},
        "unpool, backward": {name: lambda name=name: gradient(name, 1) for name in graphs},
    }


def measure(calls: Calls, rounds: int, threads: int) -> dict[str, list[float]]:
    """Return milliseconds of each contender in each round, warm-up left out."""
    clock = time.process_time_ns if threads == 1 else time.perf_counter_ns
    expected = calls["torch"]()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            begin = clock()
            result = call()
            milliseconds = (clock() - begin) / 1e6
            assert torch.equal(result, expected), name
            del result
            if number:
                taken[name].append(milliseconds)
    return taken


def index_bytes() -> dict[str, int]:
    """Return what the indices of VGG-16's five poolings occupy for a 512x512 image."""
    kept = {"ours": 0, "torch": 0}
    for channels, side in VGG16_AT_512:
        x = torch.zeros(1, channels, side, side)
        kept["ours"] += ours.max_pool_2bit(x)[1].nbytes
        kept["torch"] += peer_pool(x)[1].nbytes
    return kept


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    ours.LARGE = 0  # the kernels for every size, as in a process that has loaded them
    figures: dict[str, object] = {}
    for layer, shape in SHAPES.items():
        for kind in KINDS:
            for operation, calls in calls_of(shape, kind).items():
                taken = measure(calls, given.rounds, given.threads)
                own = float(np.median(taken["ours, kernel"]))
                for name, times in taken.items():
                    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
                    print(
                        f"{layer}, {kind:22}  {operation:16}  {name:12}  {middle:8.2f} ms  "
                        f"({low:.2f}-{high:.2f})  {middle / own:6.1f} x the kernel",
                        flush=True,
                    )
                    figures[f"{layer}/{kind}/{operation}/{name}"] = {
                        "ms": [low, middle, high],
                        "of_kernel": middle / own,
                    }
    kept = index_bytes()
    for name, count in kept.items():
        print(f"indices of VGG-16 at 512x512, {name}: {count / 2**20:.2f} MiB")
    print(json.dumps({**figures, "index_bytes": kept, **surroundings(given.threads)}))


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
