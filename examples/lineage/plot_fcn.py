"""FCN: scores of three strides, added from coarse to fine.

A small FCN-8s is trained from nothing for a minute on made streets. Then each of its score layers
is read by itself, for the class car: scores of stride 32 know that there is a car, and roughly
where; those of stride 16 and 8 are less sure what it is, but place it. Their sum, each enlarged
bilinearly to the next and at last by 8, is the network's answer.

Run: python examples/lineage/plot_fcn.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from atrous import create_model
from atrous.data import SCENE_LABELS, make_scene
from atrous.models.fcn import FCN
from atrous.ops import normalise

SIZE, STEPS, BATCH, RATE = (128, 192), 160, 6, 0.002
CAR = SCENE_LABELS.names.index("car")


def scenes(model: FCN, seeds: range) -> tuple[Tensor, Tensor]:
    """Return normalised images (N, 3, H, W) and labels (N, H, W) of made streets."""
    pairs = [make_scene(seed, size=SIZE) for seed in seeds]
    images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return normalise(images.permute(0, 3, 1, 2), model.normalization), labels.long()


def train(model: FCN) -> None:
    """Train all three score layers at once, with poly decay."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, STEPS, power=0.9)
    model.train()
    for step in range(STEPS):
        images, labels = scenes(model, range(1000 + step * BATCH, 1000 + (step + 1) * BATCH))
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def main() -> None:
    """Train, then draw what each score layer says, and their sum."""
    torch.manual_seed(0)
    model = create_model("fcn8s", encoder_name="resnet18", classes=9)
    assert isinstance(model, FCN)
    train(model)
    said: list[Tensor] = []  # by the score layers of stride 32, 16 and 8
    for layer in model.scores:
        layer.register_forward_hook(lambda *call: said.append(call[-1]))
    seeds = range(3)
    with torch.no_grad():
        answers = model.eval()(scenes(model, seeds)[0])
    margins = [y[:, CAR] - y.mean(1) for y in (*said, answers)]  # a common offset says nothing

    figure, axes = plt.subplots(3, 6, figsize=(13, 4.9), layout="constrained")
    for row, seed in zip(axes, seeds, strict=True):
        row[0].imshow(make_scene(seed, size=SIZE)[0])
        for axis, margin in zip(row[1:5], margins, strict=True):
            limit = margin.abs().max()
            axis.imshow(margin[seed], cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        row[5].imshow(SCENE_LABELS.palette()[answers[seed].argmax(0)])
    titles = ("street", "stride 32", "stride 16 adds", "stride 8 adds", "the sum", "all classes")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "fcn.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
