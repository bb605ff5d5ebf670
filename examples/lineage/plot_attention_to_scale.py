"""Attention to Scale: which size of the image a network comes to believe, pixel by pixel.

A small network is trained from nothing for half a minute on made streets, seen at full and at a
quarter of their size by the same weights. Beside the scores it learns a softmax over the two
sizes. Nobody tells it which to take: it believes the full size nearly everywhere, and the quarter
on the road ahead and on near cars, which are larger than what it sees at full size.

Run: python examples/lineage/plot_attention_to_scale.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from atrous import create_model
from atrous.data import SCENE_LABELS, make_scene
from atrous.models import SegmentationModel
from atrous.ops import normalise, resize

SIZE, STEPS, BATCH, RATE = (128, 160), 150, 6, 0.008


def scenes(model: SegmentationModel, seeds: range) -> tuple[Tensor, Tensor]:
    """Return normalised images (N, 3, H, W) and labels (N, H, W) of made streets."""
    pairs = [make_scene(seed, size=SIZE) for seed in seeds]
    images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return normalise(images.permute(0, 3, 1, 2), model.normalization), labels.long()


def train(model: SegmentationModel) -> None:
    """Train with poly decay; every scale is supervised too, as in the paper (Sec. 3.3)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, STEPS, power=0.9)
    model.train()
    for step in range(STEPS):
        images, labels = scenes(model, range(1000 + step * BATCH, 1000 + (step + 1) * BATCH))
        scores = model.score(images)
        loss = torch.stack(
            [
                functional.cross_entropy(resize(y, SIZE), labels)
                for y in (scores.main, *scores.auxiliary)
            ]
        ).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def main() -> None:
    """Train, then draw unseen streets, the weights of both sizes and the labels found."""
    torch.manual_seed(0)
    model = create_model(
        "attention_to_scale",
        network="deeplab_v3_plus",
        encoder_name="test_resnet",
        scales="1+0.25",
        attention_channels=32,
        aspp_channels=32,
        decoder_channels=32,
        classes=9,
    )
    train(model)
    seeds = range(3)
    images, _ = scenes(model, seeds)
    with torch.no_grad():
        scores = model.eval().score(images)
    assert scores.attention is not None
    weights = resize(scores.attention, SIZE)
    found = resize(scores.main, SIZE).argmax(1)

    figure, axes = plt.subplots(3, 4, figsize=(13, 7.8), layout="constrained")
    for row, seed in zip(axes, seeds, strict=True):
        row[0].imshow(make_scene(seed, size=SIZE)[0])
        for axis, weight in zip(row[1:3], weights[seed], strict=True):
            shown = axis.imshow(weight, cmap="magma", vmin=0, vmax=1)
        row[3].imshow(SCENE_LABELS.palette()[found[seed]])
    titles = ("unseen street", "weight of the full size", "weight of a quarter", "merged scores")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.5)
    out = sys.argv[1] if len(sys.argv) > 1 else "attention_to_scale.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
