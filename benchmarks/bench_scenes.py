"""How many made street scenes does one core make a second?

Regime: `make_scene` at several sizes, seeds that no earlier round used, one thread (OpenCV too),
CPU seconds of the process, so that a busy machine counts less. The noise tiles are made before the
clock starts. A round makes 20 scenes; median and quartiles are over the rounds.

For scale, the same clock times `decode`: reading the scene back from its JPEG in memory with
OpenCV, which is what a training loop pays for a stored image.

Run: python benchmarks/bench_scenes.py [--rounds 15]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable

import cv2
import numpy as np

from atrous.data import make_scene

SIZES = ((128, 128), (256, 256), (512, 512), (512, 1024))
SCENES = 20


def main() -> None:
    """Measure every size and print one line each, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    results = {}
    for height, width in SIZES:
        name = f"{height}x{width}"
        results[name] = measure((height, width), rounds)
        made, read = results[name]["scenes_per_s"], results[name]["decode_per_s"]
        print(
            f"{name:>9}  {made['median']:6.0f} scenes/s ({made['lower']:.0f}-{made['upper']:.0f})"
            f"   decode {read['median']:6.0f} images/s"
        )
    print(json.dumps({"results": results, "rounds": rounds, **machine()}))


def measure(size: tuple[int, int], rounds: int) -> dict[str, dict[str, float]]:
    """Return rates at one size; making and decoding take turns."""
    jpegs = [_jpeg(make_scene(seed, size)[0]) for seed in range(SCENES)]  # also the warm-up
    made, read = [], []
    for turn in range(1, rounds + 1):
        seeds = range(turn * SCENES, (turn + 1) * SCENES)
        made.append(_rate(lambda seeds=seeds: [make_scene(seed, size) for seed in seeds]))
        read.append(_rate(lambda: [cv2.imdecode(jpeg, cv2.IMREAD_COLOR) for jpeg in jpegs]))
    return {"scenes_per_s": _quartiles(made), "decode_per_s": _quartiles(read)}


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "threads": 1,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _rate(work: Callable[[], list]) -> float:
    start = time.process_time()
    done = work()
    return len(done) / (time.process_time() - start)


def _quartiles(rates: list[float]) -> dict[str, float]:
    lower, median, upper = np.percentile(rates, (25, 50, 75))
    return {
        "median": round(median, 1),
        "lower": round(lower, 1),
        "upper": round(upper, 1),
    }


def _jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]


if __name__ == "__main__":
    main()
