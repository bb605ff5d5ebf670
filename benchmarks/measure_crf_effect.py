"""Does the dense CRF help a network on real photographs? mIoU and boundary F1 before and after.

Regime: one model, one data set, up to --images images of a split, evenly spread; each published
parameter set (and --crf w1,theta_alpha,theta_beta triples) on the same probabilities, at the
labels' own size, DeepLab's ten iterations. Intervals are of the paired difference, over images
(bootstrap). Nothing is chosen here, so nothing flatters; `atrous crf-search` chooses.

Usage: python benchmarks/measure_crf_effect.py MODEL DATA [--images N] [--sets a,b] [--crf 4,67,3]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import atrous
from atrous.crf import DenseCRF
from atrous.crf.search import crf_at
from atrous.data import open_data
from atrous.evaluation.bootstrap import gain_interval, mean_interval
from atrous.evaluation.boundary import boundary_f1
from atrous.evaluation.crf_cases import count, make_case
from atrous.evaluation.loop import pairs_of, scored_classes


def main() -> None:
    """Measure every CRF beside none on the same images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--sets", default="deeplab,deeplab_pytorch,pydensecrf")
    parser.add_argument("--crf", action="append", default=[])
    options = parser.parse_args()

    spec, predictor = open_data(options.data), atrous.Predictor(atrous.load(options.model))
    classes = len(scored_classes(spec, predictor.model.label_set))
    pairs = pairs_of(spec, options.split)
    chosen = np.linspace(0, len(pairs) - 1, min(options.images, len(pairs))).astype(int)
    crfs = {name: DenseCRF.published(name) for name in options.sets.split(",")}
    for text in options.crf:
        w1, alpha, beta = map(float, text.split(","))
        crfs[text] = crf_at(DenseCRF(), (w1, alpha, beta))
    counts = {name: [] for name in ("none", *crfs)}
    edges = {name: [] for name in counts}
    seconds = dict.fromkeys(counts, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for index in chosen:
            case = make_case(predictor, spec, pairs[index], Path(folder, "case.npz"))
            image, labels, maps = case.read()
            for name in counts:
                begin = time.process_time()
                crf = crfs.get(name)
                found = maps.argmax(0).astype(np.uint8) if crf is None else crf.map(image, maps)
                seconds[name] += time.process_time() - begin
                counts[name].append(count(found, labels, classes))
                edges[name].append(np.nanmean(boundary_f1(found, labels, classes)))
    report(counts, edges, seconds)


def report(
    counts: dict[str, list[np.ndarray]], edges: dict[str, list[float]], seconds: dict[str, float]
) -> None:
    """Print a line per CRF, then one JSON object."""
    plain = np.stack(counts["none"])
    rows = {}
    for name in counts:
        each = np.stack(counts[name])
        hits, truth, predicted = each.sum(0)
        there = truth > 0
        rows[name] = {
            "mean_iou": float((hits / np.maximum(truth + predicted - hits, 1))[there].mean()),
            "gain_95": gain_interval(*(tuple(c[:, k] for k in range(3)) for c in (plain, each))),
            "boundary_f1": float(np.mean(edges[name])),
            "boundary_gain_95": mean_interval(np.subtract(edges[name], edges["none"])),
            "cpu_seconds_per_image": seconds[name] / len(each),
        }
        row = rows[name]
        print(
            f"{name:<18} mIoU {row['mean_iou']:.4f} ({row['gain_95'][0]:+.4f} to "
            f"{row['gain_95'][1]:+.4f})   BF {row['boundary_f1']:.4f} "
            f"({row['boundary_gain_95'][0]:+.4f} to {row['boundary_gain_95'][1]:+.4f})"
        )
    versions = {"atrous": atrous.__version__, "torch": torch.__version__}
    print(
        json.dumps({"images": len(plain), "threads": torch.get_num_threads(), **versions, **rows})
    )


if __name__ == "__main__":
    main()
