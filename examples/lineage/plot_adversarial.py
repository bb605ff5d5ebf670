"""Luc et al.: what the adversary is shown, and how it would know truth from prediction.

A blurred copy of the true labels stands for a prediction. Shown are the maps of one class, car.
Basic: the truth is black and white, the prediction grey, and that alone gives it away. Product:
the image behind both. Scaling: the truth keeps at least 0.9 for its label and takes the rest from
the prediction, so that only the shapes are left to judge.

Run: python examples/lineage/plot_adversarial.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from atrous.data import SCENE_LABELS, make_scene
from atrous.models.adversarial import basic, product, scaling


def main() -> None:
    """Draw prediction above truth in each encoding."""
    image, labels = make_scene(12, size=(192, 256))
    car = SCENE_LABELS.names.index("car")
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    truth = torch.from_numpy(labels).long()[None]
    one_hot = functional.one_hot(truth, 9).permute(0, 3, 1, 2).float()
    for _ in range(3):
        one_hot = functional.avg_pool2d(one_hot, 11, 1, 5, count_include_pad=False)
    probabilities = 0.85 * one_hot + 0.15 / 9
    encodings = {
        "basic": basic(probabilities, truth),
        "product": product(probabilities, truth, images),
        "scaling": scaling(probabilities, truth),
    }

    figure, axes = plt.subplots(2, 4, figsize=(13, 5.2), layout="constrained")
    axes[0, 0].imshow(image)
    axes[0, 0].set_title("the image")
    axes[1, 0].imshow(SCENE_LABELS.palette()[labels])
    axes[1, 0].set_title("its labels")
    for column, (name, maps) in enumerate(encodings.items(), 1):
        for row, (kind, shown) in enumerate(maps._asdict().items()):
            planes = shown[0, car::9] if name == "product" else shown[0, [car] * 3]
            axes[row, column].imshow(planes.permute(1, 2, 0).clamp(0, 1))
            axes[row, column].set_title(f"{name}, {kind}")
    for axis in axes.flat:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "adversarial.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
