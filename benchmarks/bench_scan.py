"""How many pairs a second does one core look through before training starts?

Regime: pairs of 480 x 360 (JPEG of quality 93, palette PNG mask; made street scenes, or your own
by --data). Every file is read and hashed; of an image the header is judged and the end sought, a
mask is decoded and its values are counted. `cold` has no cache, `cached` finds every file's facts
under its hash. The peer is the obvious script: Pillow decodes both files, numpy counts the values.
One thread, warm page cache, CPU seconds of the process (so that a busy machine does not count);
the contenders take turns.

Run: python benchmarks/bench_scan.py [--data FOLDER] [--rounds 9]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image

from atrous.data import Pair, write_scenes
from atrous.data.layout import folder_splits, pair_files
from atrous.data.scan import scan_pairs
from atrous.data.scan_cache import cache_file

Splits = dict[str, tuple[Pair, ...]]


def obvious(splits: Splits) -> None:
    """Decode every file and count the values of every mask."""
    for pair in (pair for pairs in splits.values() for pair in pairs):
        with Image.open(pair.image) as image, Image.open(pair.mask) as mask:
            image.load()
            values, counts = np.unique(np.asarray(mask), return_counts=True)
        assert len(values) == len(counts)
        assert image.size == mask.size


def contenders(root: Path, splits: Splits) -> dict[str, Callable[[], None]]:
    """Return what to measure, by name."""

    def cold() -> None:
        cache_file(root).unlink(missing_ok=True)
        cached()

    def cached() -> None:
        assert all(pair.readable for pair in scan_pairs(root, splits, workers=1))

    return {"cold": cold, "cached": cached, "pillow and numpy": lambda: obvious(splits)}


def measure(root: Path, rounds: int) -> dict[str, list[float]]:
    """Return pairs per CPU second in each round, the first left out as warm-up."""
    splits = {name: pair_files(name, folders)[0] for name, folders in folder_splits(root).items()}
    total = sum(map(len, splits.values()))
    rates: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, scan in contenders(root, splits).items():
            start = time.process_time()
            scan()
            elapsed = time.process_time() - start
            if number:
                rates.setdefault(name, []).append(total / elapsed)
    return rates


def main() -> None:
    """Measure, print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of <split>/images and <split>/masks")
    parser.add_argument("--count", type=int, default=200, help="scenes to make without --data")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        root = args.data or Path(folder) / "scenes"
        if args.data is None:
            write_scenes(root, {"train": args.count}, size=(360, 480))
        rates = measure(root, args.rounds)
    results = {}
    for name, values in rates.items():
        low, middle, high = (round(float(q)) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        ratio = round(float(np.median(np.divide(values, rates["pillow and numpy"]))), 2)
        results[name] = {"pairs_per_cpu_s": middle, "quartiles": [low, high], "ratio": ratio}
        print(f"{name:18} {middle:6,} pairs per CPU second ({low:,}-{high:,})   x {ratio}")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    circumstances = {
        "commit": commit.stdout.strip() or None,
        "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        },
        "threads": 1,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps({"question": "scan", "results": results, **circumstances}))


if __name__ == "__main__":
    main()
