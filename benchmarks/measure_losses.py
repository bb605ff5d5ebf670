"""Which loss, class weights and sampling give which score, at one budget? Made scenes, CPU.

Regime: `atrous demo`'s network, optimizer and kind of scenes, all choices with the same iterations,
learning rate and images, none of them tuned; scored on unseen scenes with the best of the run. The
spread over seeds is the noise that a difference has to exceed: the seed changes weights, order and
crops, not the scenes. Seconds are of the steps alone, validation apart. Streets have no touching
cells: what `border` is for is not measured here.

Usage: python benchmarks/measure_losses.py [--seeds 2] [--iterations 240] [--only TEXT]
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch

import atrous
from atrous.data import DataSpec, open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.training import TrainConfig, fit

CHOICES: dict[str, dict[str, str]] = {
    "cross_entropy": {},
    "cross_entropy, median_frequency": {"class_weights": "median_frequency"},
    "cross_entropy, inverse": {"class_weights": "inverse"},
    "cross_entropy, enet": {"class_weights": "enet"},
    "cross_entropy, class_balanced": {"sampling": "class_balanced"},
    "cross_entropy, smoothed": {"loss": "cross_entropy(label_smoothing=0.1)"},
    "cross_entropy + dice": {"loss": "cross_entropy + dice"},
    "cross_entropy + lovasz": {"loss": "cross_entropy + lovasz"},
    "lovasz": {"loss": "lovasz"},
    "ohem": {"loss": "ohem"},
    "focal": {"loss": "focal"},
    "dice": {"loss": "dice"},
    "jaccard": {"loss": "jaccard"},
    "tversky": {"loss": "tversky"},
    "border, inverse": {"loss": "border(background=2)", "class_weights": "inverse"},  # 2: road
}


def main() -> None:
    """Train with every choice, seed by seed, and print a line for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=240)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--only", default="", help="choices that hold this text")
    options = parser.parse_args()

    chosen = {name: fields for name, fields in CHOICES.items() if options.only in name}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        write_scenes(scenes, {"train": options.images, "val": 20, "test": 100}, size=(160, 160))
        spec = open_data(scenes)
        for seed in range(options.seeds):
            for name, fields in chosen.items():
                run = Path(folder, f"{seed}-{name}")
                row = trained(spec, run, seed=seed, iterations=options.iterations, **fields)
                rows[name].append(row)
                print(seed, f"{name:<34}", *(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    for name, runs in rows.items():
        scores = [run["mean_iou"] for run in runs]
        print(
            f"{name:<34} mIoU {statistics.mean(scores):.3f} ({min(scores):.3f}-{max(scores):.3f})"
        )
    versions = {"atrous": atrous.__version__, "torch": torch.__version__}
    print(json.dumps({**vars(options), "threads": torch.get_num_threads(), **versions, **rows}))


def trained(
    spec: DataSpec, run: Path, *, seed: int, iterations: int, **fields: str
) -> dict[str, float]:
    """Train one network; return its scores on the test split."""
    result = fit(
        TrainConfig(  # that of `atrous demo`
            data=spec.root,
            out=run,
            encoder="test_resnet",
            weights="none",
            options={"aspp_channels": 64, "skip_channels": 32, "decoder_channels": 64},
            iterations=iterations,
            micro_batch=16,
            crop=96,
            scale_range=(1.0, 1.0),
            rotation=0.0,
            jitter=0.0,
            optimizer="adamw",
            lr=0.01,
            val_every=iterations // 2,
            seed=seed,
            **fields,  # type: ignore[arg-type]  # each has its Literal
        ),
        spec=spec,
    )
    assert result.predictor is not None
    found = evaluate(result.predictor, spec, "test")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["seconds"] for line in lines if line["split"] == "train"]
    rarest = int(np.argmin([share or 1 for share in spec.statistics["train"].shares]))
    return {
        "mean_iou": found.mean_iou,
        "rarest_iou": float(found.iou[rarest] or 0),
        "mean_accuracy": found.mean_accuracy,
        "pixel_accuracy": found.pixel_accuracy,
        "step_seconds": statistics.median(steps),
    }


if __name__ == "__main__":
    main()
