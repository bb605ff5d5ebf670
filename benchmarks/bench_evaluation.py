"""What do the boundary scores cost beside a plain evaluation of finished masks?

Regime: a folder of predicted masks against one split of a data set, as `atrous evaluate
--predictions` takes them; the first `--images` images. Plain is reading both masks and counting the
confusion matrix; the boundary scores are boundary F1, the trimap curve and Boundary IoU. One
thread, CPU seconds of the process (so that a busy machine does not count), median over the images,
second of two rounds. `transforms` is boundary F1 by two distance transforms a class, OpenCV's exact
ones, as it was taken before; it must give the same scores.

Run: python benchmarks/bench_evaluation.py --predictions MASKS --data FOLDER [--images 101]
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from atrous.data import open_data
from atrous.evaluation.boundary import TOLERANCE, boundary_f1
from atrous.evaluation.boundary_iou import ring_counts
from atrous.evaluation.calibration import confidence_bins
from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.object_sizes import object_counts
from atrous.evaluation.predictions import stored_masks
from atrous.evaluation.trimap import band_counts


def by_transforms(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return BF scores class by class from OpenCV's distance transforms."""
    reach = TOLERANCE * float(np.hypot(*labels.shape))
    scores = np.full(classes, np.nan)
    edges, judged = edges_of(labels, labels)
    found_edges, found_judged = edges_of(predictions, labels)
    judged |= edges & (predictions != labels) & (labels != 255)
    for index in np.unique(labels[labels < classes]):
        of_truth, of_found = labels == index, predictions == index
        recall, precision = (
            share_met(points, targets, reach)
            for points, targets in (
                (judged & of_truth, found_edges & of_found),
                (found_judged & of_found, edges & of_truth),
            )
        )
        if not (judged & of_truth).any() and not (found_judged & of_found).any():
            scores[index] = of_found[of_truth].all()
        else:
            total = recall + precision
            scores[index] = 2 * recall * precision / total if total else 0
    return scores


def edges_of(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels with a 4-neighbour of another value, and with one where both are known."""
    edges, judged = np.zeros((2, *values.shape), bool)
    for rows, columns in ((1, 0), (0, 1)):
        here = slice(rows, None), slice(columns, None)
        there = slice(values.shape[0] - rows), slice(values.shape[1] - columns)
        change = values[here] != values[there]
        for side in (here, there):
            edges[side] |= change
            judged[side] |= change & (labels[here] != 255) & (labels[there] != 255)
    return edges, judged


def share_met(points: np.ndarray, targets: np.ndarray, reach: float) -> float:
    """Return the share of points within `reach` of a target; 1 without points."""
    if not points.any():
        return 1.0
    if not targets.any():
        return 0.0
    far = cv2.distanceTransform((~targets).astype(np.uint8), cv2.DIST_L2, 0)
    return float((np.rint(far[points] ** 2) <= reach**2).mean())


STEPS: dict[str, Callable[..., object]] = {
    "confusion": confusion_matrix,
    "boundary_f1": boundary_f1,
    "trimap": band_counts,
    "boundary_iou": ring_counts,
    "objects": lambda p, t, k: (object_counts(t, p, k), object_counts(p, t, k)),
    "calibration": lambda p, t, _: confidence_bins(np.full(p.shape, 0.5, np.float32), p, t),
    "transforms": by_transforms,
}

BOUNDARY = ("boundary_f1", "trimap", "boundary_iou")


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=101)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    spec = open_data(options.data)
    subject = stored_masks(options.predictions, spec, options.split)
    classes = len(spec.label_set)
    taken: dict[str, list[float]] = {name: [] for name in ("reading", *STEPS)}
    ratios: list[float] = []
    for number in range(2):
        for pair in spec.splits[options.split][: options.images]:
            begin = time.process_time()
            labels = spec.read_labels(pair)
            predictions = subject.predict(pair, labels).labels
            spent = {"reading": time.process_time() - begin}
            for name, step in STEPS.items():
                begin = time.process_time()
                result = step(predictions, labels, classes)
                spent[name] = time.process_time() - begin
                if name == "transforms":
                    ours = boundary_f1(predictions, labels, classes)
                    np.testing.assert_allclose(result, ours, atol=1e-9)
            for name, seconds in spent.items() if number else ():
                taken[name].append(1000 * seconds)
            if number:
                ratios.append(
                    sum(spent[name] for name in BOUNDARY) / (spent["reading"] + spent["confusion"])
                )
    middle = {name: float(np.median(times)) for name, times in taken.items()}
    plain = middle["reading"] + middle["confusion"]
    three = sum(middle[name] for name in BOUNDARY)
    low, ratio, high = (float(each) for each in np.quantile(ratios, [0.25, 0.5, 0.75]))
    for name, milliseconds in middle.items():
        print(f"{name:14}{milliseconds:8.2f} ms")
    print(
        f"boundary scores {three:.2f} ms, plain evaluation {plain:.2f} ms; "
        f"image by image {ratio:.2f} x ({low:.2f}-{high:.2f})"
    )
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"ms": middle, "of_plain": [low, ratio, high], "machine": machine}))


if __name__ == "__main__":
    main()
