"""Does training the CRF as a layer raise the mIoU? On made scenes, with the shipped network frozen.

Regime: the probabilities of `street-scenes` on --train made scenes of 128x128, none of which the
model has been trained on; the layer's kernel weights (one per label) and its compatibility are
trained by cross entropy, five iterations, the kernels' widths fixed at those that a search found
(theta_alpha 30, theta_beta 3). Scored on --val other scenes: the network alone, the layer as it
starts, and the layer trained, each with the 95 % interval of its gain over the network (paired
bootstrap over scenes). For every --seeds the training scenes and their order are drawn anew.

Run: python benchmarks/measure_crf_layer.py [--train 96] [--val 60] [--steps 150] [--seeds 3]
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import atrous
from atrous.crf import Appearance, CRFLayer, Smoothness
from atrous.data import SCENE_LABELS, make_scene
from atrous.evaluation import confusion_matrix
from atrous.evaluation.bootstrap import gain_interval

SIZE = (128, 128)
BATCH = 4
FIRST_VAL = 900_000
"""Seeds of the scenes to score on; training takes others."""


def main() -> None:
    """Train a layer per seed, print a line for each, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=96)
    parser.add_argument("--val", type=int, default=60)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    predictor = atrous.Predictor(atrous.load("street-scenes"))
    val = unaries(predictor, range(FIRST_VAL, FIRST_VAL + options.val))
    plain = counts(val[1].log(), val[2])
    rows = {}
    for seed in range(options.seeds):
        first = 950_000 + 1000 * seed
        train = unaries(predictor, range(first, first + options.train))
        layer = CRFLayer(
            len(SCENE_LABELS), Appearance(1, 30, 3), smoothness=Smoothness(1, 3), iterations=5
        )
        found = {"starting": scored(layer, val, plain)}
        before = [parameter.detach().clone() for parameter in layer.parameters()]
        begin = time.perf_counter()
        fit(layer, train, steps=options.steps, seed=seed)
        found["seconds"] = time.perf_counter() - begin
        found["trained"] = scored(layer, val, plain)
        found["moved"] = [
            float((now.detach() - old).abs().mean())
            for now, old in zip(layer.parameters(), before, strict=True)
        ]
        rows[f"seed {seed}"] = found
        print(f"seed {seed}  network {total(plain):.4f}  {json.dumps(found)}", flush=True)
    versions = {"atrous": atrous.__version__, "torch": torch.__version__}
    print(json.dumps({**vars(options), **versions, "network": total(plain), **rows}))


def unaries(predictor: atrous.Predictor, seeds: range) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (N, 3, H, W) in 0..255, probabilities (N, K, H, W), labels (N, H, W)."""
    images, maps, truths = [], [], []
    for seed in seeds:
        image, truth = make_scene(seed, SIZE)
        images.append(image.transpose(2, 0, 1))
        maps.append(predictor(image, probabilities=True).probabilities)
        truths.append(truth.astype(np.int64))
    probabilities = torch.from_numpy(np.stack(maps)).clamp(min=1e-5)
    return torch.from_numpy(np.stack(images)).float(), probabilities, torch.tensor(np.stack(truths))


def fit(layer: CRFLayer, train: tuple[Tensor, Tensor, Tensor], *, steps: int, seed: int) -> None:
    """Train the layer's weights and compatibility."""
    images, maps, truths = train
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.03)
    for _ in range(steps):
        batch = torch.randint(len(images), (BATCH,), generator=generator)
        optimizer.zero_grad()
        loss = functional.cross_entropy(layer(maps[batch].log(), images[batch]), truths[batch])
        loss.backward()
        optimizer.step()


def scored(
    layer: CRFLayer, val: tuple[Tensor, Tensor, Tensor], plain: np.ndarray
) -> dict[str, object]:
    """Return the layer's mIoU and the interval of its gain over the network alone."""
    images, maps, truths = val
    with torch.inference_mode():
        scores = torch.cat(
            [layer(maps[i : i + 1].log(), images[i : i + 1]) for i in range(len(images))]
        )
    sharp = counts(scores, truths)
    columns = (tuple(each[:, k] for k in range(3)) for each in (plain, sharp))
    return {"mean_iou": total(sharp), "gain_95": gain_interval(*columns)}


def counts(scores: Tensor, truths: Tensor) -> np.ndarray:
    """Return (N, 3, K): pixels of each class that are right, that are true, that are predicted."""
    rows = []
    for score, truth in zip(scores, truths, strict=True):
        prediction, labels = (x.numpy().astype(np.uint8) for x in (score.argmax(0), truth))
        matrix = confusion_matrix(prediction, labels, len(SCENE_LABELS))
        rows.append(np.stack([np.diagonal(matrix), matrix.sum(1), matrix.sum(0)]))
    return np.stack(rows)


def total(each: np.ndarray) -> float:
    """Return the mean IoU over all images, of the classes that occur."""
    hits, truth, predicted = each.sum(0)
    there = truth > 0
    return float((hits / np.maximum(truth + predicted - hits, 1))[there].mean())


if __name__ == "__main__":
    main()
