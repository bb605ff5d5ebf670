"""Does bf16-mixed training on a CPU follow the loss curve of fp32? Made scenes, several seeds.

Regime: the same iterations, images, learning rate and seeds in both precisions; the loss of every
iteration, averaged over windows of ten. Printed for each network: how far the means of the two
curves lie apart, window by window, in standard errors of a difference of two means of as many seeds
(sqrt(2 / S) times the standard deviation between the seeds of fp32), and the scores on 40 unseen
scenes. Where nothing but luck makes the difference, the root mean square is about 1.

Run: python benchmarks/measure_precision.py [--seeds 3] [--iterations 60]
"""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import atrous
from atrous.data import DataSpec, open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.training import TrainConfig, fit

NETWORKS = {"unet": "resnet18", "deeplab_v3_plus": "mobilenet_v2"}
Precision = Literal["fp32", "bf16-mixed"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16-mixed")
WINDOW = 10
Run = tuple[list[float], float]
"""The loss of every iteration, and the score."""


def main() -> None:
    """Train every network in both precisions from every seed, and compare the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=60)
    options = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        write_scenes(scenes, {"train": 300, "val": 4, "test": 40}, size=(128, 128))
        spec = open_data(scenes)
        for network in NETWORKS:
            runs: dict[str, list[Run]] = {precision: [] for precision in PRECISIONS}
            for seed in range(options.seeds):
                for precision in PRECISIONS:
                    out = Path(folder, f"{network}-{precision}-{seed}")
                    choices = network, precision, seed, options.iterations
                    runs[precision].append(trained(spec, out, *choices))
            found[network] = compared(runs)
            print(network, json.dumps(found[network]), flush=True)
    about = {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({**vars(options), **about, "atrous": atrous.__version__, **found}))


def trained(
    spec: DataSpec, out: Path, network: str, precision: Precision, seed: int, iterations: int
) -> Run:
    """Return the loss of every iteration, and the score on unseen scenes."""
    result = fit(
        TrainConfig(
            data=spec.root,
            out=out,
            model=network,
            encoder=NETWORKS[network],
            weights="none",
            batch_size=4,
            crop=96,
            optimizer="adamw",
            iterations=iterations,
            val_every=iterations,
            precision=precision,
            seed=seed,
        ),
        spec=spec,
    )
    assert result.predictor is not None
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    return losses, evaluate(result.predictor, spec, "test").mean_iou


def compared(runs: dict[str, list[Run]]) -> dict[str, object]:
    """Return how far apart precisions are, and seeds."""
    curves = {
        precision: np.array([np.reshape(losses, (-1, WINDOW)).mean(1) for losses, _ in each])
        for precision, each in runs.items()
    }
    full, half = (curves[precision] for precision in PRECISIONS)
    between = full.std(0, ddof=1)
    apart = half.mean(0) - full.mean(0)
    in_noise = np.abs(apart) / (between * np.sqrt(2 / len(full)))
    return {
        "loss_fp32": full.mean(0).round(4).tolist(),
        "loss_bf16": half.mean(0).round(4).tolist(),
        "seeds_of_fp32": between.round(4).tolist(),
        "apart_in_standard_errors": in_noise.round(2).tolist(),
        "root_mean_square": round(float(np.sqrt((in_noise**2).mean())), 2),
        "miou": {name: [round(score, 4) for _, score in each] for name, each in runs.items()},
    }


if __name__ == "__main__":
    main()
