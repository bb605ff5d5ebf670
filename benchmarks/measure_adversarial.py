"""What does an adversary change that cross entropy does not? Made scenes, a weak network, CPU.

Regime: a deliberately weak segmentation network (MobileNetV2 at 0.35 of its width, thin decoder,
from random weights) is trained by cross entropy alone. Each seed then goes on from that model
twice, with as many further steps of its own and the same learning rate: by cross entropy alone, and
against an adversary (Luc et al., 2016), which learns alone first and then in turn. So the two
differ by the adversarial term only, and by the images of the steps; the adversary's own steps come
on top. All figures are those of the network after its last step, on unseen scenes: no validation
chooses. Components are 4-connected regions of one class; their number is given beside that of the
true maps: a network that leaves specks has more, one that loses small things has fewer. What was
tried, and what came of it, stands in docs/log.md; the defaults take 100 CPU seconds on one core.

Usage: python benchmarks/measure_adversarial.py [--weight 0.1] [--adversary-lr 1e-4] [--seeds 3] ...
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import atrous
from atrous.data import DataSpec, open_data, write_scenes
from atrous.evaluation import ConfusionMatrix
from atrous.evaluation.boundary import boundary_f1
from atrous.inference import Predictor
from atrous.training import TrainConfig, fit
from atrous.weights import load

FIGURES = ("mean_iou", "boundary_f1", "components", "true_components")


def main() -> None:
    """Train, go on in both ways seed by seed, and print a table."""
    options = _options()
    rows: dict[str, list[dict[str, float]]] = {"before": [], "without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        size = (options.side, options.side)
        write_scenes(scenes, {"train": options.images, "val": 2, "test": options.test}, size=size)
        spec = open_data(scenes)
        for seed in range(options.seeds):
            for name, row in of_seed(spec, Path(folder, str(seed)), seed, options).items():
                rows[name].append(row)
                print(seed, f"{name:<8}", *(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
    for name in FIGURES:
        told = "   ".join(f"{kind} {_spread([r[name] for r in of])}" for kind, of in rows.items())
        print(f"{name:<16} {told}")
    versions = {"atrous": atrous.__version__, "torch": torch.__version__}
    print(json.dumps({**vars(options), "threads": torch.get_num_threads(), **versions, **rows}))


def of_seed(
    spec: DataSpec, folder: Path, seed: int, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Train one seed in all ways; return the figures of each."""
    first = trained(spec, folder / "before", seed, options, iterations=options.first, lr=0.01)
    found = {"before": scored(first, spec)}
    plain: dict[str, object] = {"iterations": options.more, "lr": options.lr, "weights": str(first)}
    found["without"] = scored(trained(spec, folder / "without", seed, options, **plain), spec)
    opposed = {
        "adversary": options.adversary,
        "adversary_options": {
            "encoding": options.encoding,
            "weight": options.weight,
            "lr": options.adversary_lr,
            "pretrain_adversary": options.pretrain,
            "period": options.period,
        },
    }
    turns = options.pretrain + 2 * options.more - options.period  # it ends on the network's turn
    fields = {**plain, **opposed, "iterations": turns}
    found["with"] = scored(trained(spec, folder / "with", seed, options, **fields), spec)
    found["with"] |= adversary_figures(folder / "with", options.pretrain)
    return found


def trained(
    spec: DataSpec, run: Path, seed: int, options: argparse.Namespace, **fields: object
) -> Path:
    """Train, and return the model folder: validated once, after the last step, it is that one's."""
    result = fit(
        TrainConfig(
            data=spec.root,
            out=run,
            encoder="mobilenet_v2_035",
            options={"aspp_channels": 16, "skip_channels": 8, "decoder_channels": 16},
            batch_size=options.batch,
            micro_batch=options.batch,
            crop=options.crop,
            scale_range=(1.0, 1.0),
            rotation=0.0,
            jitter=0.0,
            optimizer="adamw",
            schedule="constant",  # of the same number of own steps, the same rates
            val_every=fields["iterations"],
            seed=seed,
            workers=0,
            device="cpu",
            precision="fp32",
            **{"weights": "none", **fields},  # type: ignore[arg-type]  # each has its type
        ),
        spec=spec,
    )
    return result.model


def scored(folder: Path, spec: DataSpec) -> dict[str, float]:
    """Return mean IoU, mean boundary F1 and the components of an image on the test split."""
    predictor = Predictor(load(folder), device="cpu")
    count = len(spec.label_set)
    matrix, edges, found, true = ConfusionMatrix(count), [], [], []
    for pair in spec.splits["test"]:
        labels = spec.read_labels(pair)
        predicted = predictor(spec.read_image(pair)).labels
        matrix.update(predicted, labels)
        edges.append(float(np.nanmean(boundary_f1(predicted, labels, count))))
        found.append(components(predicted))
        true.append(components(labels))
    figures = (matrix.mean_iou(), *(float(np.mean(x)) for x in (edges, found, true)))
    return dict(zip(FIGURES, figures, strict=True))


def components(labels: NDArray[np.uint8]) -> int:
    """Count the 4-connected regions of one class, void left out."""
    classes = [value for value in np.unique(labels) if value != 255]
    masks = [(labels == value).astype(np.uint8) for value in classes]
    return sum(cv2.connectedComponents(mask, connectivity=4)[0] - 1 for mask in masks)


def adversary_figures(run: Path, pretrain: int) -> dict[str, float]:
    """Return how well the adversary told maps apart: after its time alone, and at the end."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = [line["adversary_accuracy"] for line in lines if "adversary_accuracy" in line]
    return {
        "accuracy_alone": statistics.mean(told[:pretrain][-10:]),
        "accuracy_at_the_end": statistics.mean(told[-10:]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=120, help="steps by cross entropy before")
    parser.add_argument("--more", type=int, default=60, help="further steps of the network")
    parser.add_argument("--lr", type=float, default=0.001, help="of those")
    parser.add_argument("--pretrain", type=int, default=30, help="steps of the adversary alone")
    parser.add_argument("--period", type=int, default=5)
    parser.add_argument("--adversary", default="small_fov_light")
    parser.add_argument("--encoding", default="scaling")
    parser.add_argument("--weight", type=float, default=0.1)
    parser.add_argument("--adversary-lr", type=float, default=1e-4)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--test", type=int, default=30)
    parser.add_argument("--side", type=int, default=64, help="of the scenes")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4g} ({min(values):.4g}-{max(values):.4g})"


if __name__ == "__main__":
    main()
