"""How many more training samples does a core make where images are decoded once?

Regime: the samples of `atrous train` with its default changes (zoom 0.5-2, rotation, flip, crop of
the commonest image size, at most 512; brightness, contrast, saturation), read from the files each
time, from the cache in memory and from that on disk. One thread, warm page cache, CPU seconds of
the process (so that a busy machine does not count); both caches are filled outside the clock. The
three take turns, round after round, with the same sample numbers, and every sample is compared:
they are equal to the bit.

Run: python benchmarks/bench_cache.py [--data FOLDER] [--rounds 7] [--samples 48]
Without --data: 24 made scenes of 480 x 360.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch

from atrous.data import DataSpec, JointTransform, open_data, write_scenes
from atrous.data.cache.opening import cached, decoded_sizes, disk_store, memory_store
from atrous.data.cache.pair_cache import RACY_NANOSECONDS
from atrous.data.loader_worker import prepare_worker
from atrous.training.plan import derive_crop
from atrous.training.samples import TrainingSamples


def main() -> None:
    """Measure, print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a data set; made scenes if not given")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=48, help="in a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prepare_worker()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        data = arguments.data
        if data is None:
            data = Path(folder) / "scenes"
            write_scenes(data, {"train": 24, "val": 2}, size=(360, 480))
            time.sleep(RACY_NANOSECONDS / 1e9 + 0.1)
        spec = open_data(data)
        sources = readers(spec)
        rates = measure(sources, arguments.rounds, arguments.samples)
    report(rates, spec)


def readers(spec: DataSpec) -> dict[str, TrainingSamples]:
    """Return the samples of a run by what they are read from, caches filled."""
    specs = {
        "files": spec,
        "memory": cached(spec, memory_store(spec, "train")),
        "disk": cached(spec, disk_store(spec)),
    }
    for data in (specs["memory"], specs["disk"]):
        for pair in spec.splits["train"]:
            data.read_pair(pair)
    transform = JointTransform(derive_crop(spec))
    return {
        name: TrainingSamples(data, data.splits["train"], transform, 0)
        for name, data in specs.items()
    }


def measure(sources: dict[str, TrainingSamples], rounds: int, count: int) -> dict[str, list[float]]:
    """Return samples per CPU second in each round, the first left out as warm-up."""
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for number in range(rounds + 1):
        made = {}
        for name, source in sources.items():
            begin = time.process_time()
            made[name] = [source[number * count + sample] for sample in range(count)]
            elapsed = time.process_time() - begin
            if number:
                rates[name].append(count / elapsed)
        for name in ("memory", "disk"):
            for found, expected in zip(made[name], made["files"], strict=True):
                assert all(map(torch.equal, found, expected))
    return rates


def report(rates: dict[str, list[float]], spec: DataSpec) -> None:
    """Print the table and the JSON object."""
    results = {}
    for name, values in rates.items():
        low, middle, high = (round(float(q), 1) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        ratio = round(float(np.median(np.divide(values, rates["files"]))), 2)
        results[name] = {"img_per_cpu_s": middle, "quartiles": [low, high], "ratio": ratio}
        print(f"{name:8} {middle:7.1f} img per CPU second ({low} to {high})   files x {ratio}")
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    print(
        json.dumps(
            {
                "question": "cache",
                "images": len(spec.splits["train"]),
                "suffix": spec.splits["train"][0].image.suffix,
                "crop": derive_crop(spec),
                "decoded_mb": round(sum(decoded_sizes(spec, "train").values()) / 1e6, 1),
                "results": results,
                "commit": commit or None,
                "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores",
                "versions": {
                    "python": platform.python_version(),
                    "numpy": np.__version__,
                    "opencv": cv2.__version__,
                    "pillow": PIL.__version__,
                    "torch": torch.__version__,
                },
                "threads": {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads()},
            }
        )
    )


if __name__ == "__main__":
    main()
