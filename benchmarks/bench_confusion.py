"""How fast are predictions counted into a confusion matrix: ours, torchmetrics, np.bincount, numba?

Regime: labels and predictions as uint8 arrays in memory, as a predictor gives them: blocks of
classes (masks are smooth), 5 % of the pixels predicted at random, 5 % void. A CamVid image
(360 x 480, 11 classes), a Cityscapes image (1024 x 2048, 19 classes) and a batch (16 of 512 x 512,
21 classes). One thread, CPU seconds of the process (so that a busy machine does not count); with
--threads 2 seconds by the clock, on an idle machine. The contenders take turns, round after round,
on the same images, and must agree on every count.

`torchmetrics` is its function without the checks of its arguments, `torchmetrics.Metric` the metric
as its documentation shows it.

`bincount` is the usual recipe: mask the void, then bincount of K * label + prediction. `opencv` is
the histogram of all 256 x 256 pairs that ours was before. `numba` is a compiled loop over runs of
equal pairs, the plain way to write one.

Run: python benchmarks/bench_confusion.py [--rounds 30] [--threads 1]
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
import numba
import numpy as np
import torch
import torchmetrics
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.functional.classification import multiclass_confusion_matrix

from atrous.evaluation import confusion_matrix

Count = Callable[[np.ndarray, np.ndarray, int], np.ndarray]

REGIMES = {"camvid": ((360, 480), 11), "cityscapes": ((1024, 2048), 19), "batch": ((8192, 512), 21)}


def by_torchmetrics(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count as torchmetrics does, without its checks of the arguments."""
    tensors = torch.from_numpy(predictions), torch.from_numpy(labels)
    counted = multiclass_confusion_matrix(*tensors, classes, ignore_index=255, validate_args=False)
    return counted.numpy()


def by_metric(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count with torchmetrics' metric."""
    metric = MulticlassConfusionMatrix(classes, ignore_index=255)
    metric.update(torch.from_numpy(predictions), torch.from_numpy(labels))
    return metric.confmat.numpy()


def by_bincount(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count by the usual recipe."""
    known = labels != 255
    joint = classes * labels[known].astype(np.int64) + predictions[known]
    return np.bincount(joint, minlength=classes**2).reshape(classes, classes)


def by_opencv(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count all pairs of bytes with OpenCV, whose counts are float32, exact up to 2^24."""
    pair = [labels.reshape(-1), predictions.reshape(-1)]
    joint = cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256])
    return joint[:classes, :classes].astype(np.int64)


def by_numba(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count runs of equal pairs in a compiled loop."""
    joint = np.zeros((256, 256), np.int64)
    count_runs(predictions.reshape(-1), labels.reshape(-1), joint)
    return joint[:classes, :classes]


@numba.njit
def count_runs(predictions: np.ndarray, labels: np.ndarray, joint: np.ndarray) -> None:
    """Add the length of each run of equal (label, prediction) to `joint`."""
    label, prediction, run = labels[0], predictions[0], 0
    for index in range(labels.size):
        if labels[index] == label and predictions[index] == prediction:
            run += 1
        else:
            joint[label, prediction] += run
            label, prediction, run = labels[index], predictions[index], 1
    joint[label, prediction] += run


CONTENDERS: dict[str, Count] = {
    "atrous": confusion_matrix,
    "bincount": by_bincount,
    "opencv": by_opencv,
    "torchmetrics": by_torchmetrics,
    "torchmetrics.Metric": by_metric,
    "numba": by_numba,
}


def image_of(size: tuple[int, int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (predictions, labels) of one made image."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, classes, (18, 24)).astype(np.uint8)
    labels = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)
    wrong = rng.random(size) < 0.05
    predictions = np.where(wrong, rng.integers(0, classes, size), labels).astype(np.uint8)
    labels[: size[0] // 20] = 255
    return predictions, labels


def measure(
    size: tuple[int, int], classes: int, rounds: int, clock: Callable[[], int]
) -> dict[str, list[float]]:
    """Return milliseconds per image of each contender in each round, warm-up left out."""
    predictions, labels = image_of(size, classes)
    expected = by_bincount(predictions, labels, classes)
    taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name, count in CONTENDERS.items():
            begin = clock()
            matrix = count(predictions, labels, classes)
            seconds = (clock() - begin) / 1e9
            assert (matrix == expected).all(), name
            if number:
                taken[name].append(1000 * seconds)
    return taken


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    clock = time.process_time_ns if options.threads == 1 else time.perf_counter_ns
    figures: dict[str, dict[str, object]] = {}
    for regime, (size, classes) in REGIMES.items():
        taken = measure(size, classes, options.rounds, clock)
        own = float(np.median(taken["atrous"]))
        for name, times in taken.items():
            low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
            print(
                f"{regime:10}  {name:19}  {middle:8.3f} ms  ({low:.3f}-{high:.3f})  "
                f"{middle / own:5.1f} x ours"
            )
            figures[f"{regime}/{name}"] = {"ms": [low, middle, high], "of_ours": middle / own}
    print(json.dumps({**figures, **surroundings(options.threads)}))


def surroundings(threads: int) -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    return {
        "commit": commit.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": threads,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
            "torchmetrics": torchmetrics.__version__,
            "numba": numba.__version__,
        },
    }


if __name__ == "__main__":
    main()
