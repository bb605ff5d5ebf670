"""When the dense CRF helps and when it hurts: it all hangs on colour.

The model that ships segments twelve street scenes, and ever heavier appearance kernels pull its
labels towards the image. The kernel believes that pixels of one colour are of one class. Where it
calls only very similar pixels alike (a small theta_beta), and the things in the image differ in
colour, as they do in these made scenes, every border gains. With a large theta_beta a grey pole
before a grey house is of one colour with it: thin and small things are voted down, and the mIoU
falls below that of the network alone. Photographs are harder than made scenes, so measure it on
your own data: atrous crf-search.

Run: python examples/plot_crf_effect.py [out.png]
"""

import sys
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

import atrous
from atrous.crf import Appearance
from atrous.data import SCENE_LABELS, make_scene
from atrous.evaluation import ConfusionMatrix

WEIGHTS = (0, 1, 2, 4, 8)
RGB_STDS = (3, 8, 30, 90)
SCENES, SIZE = 12, (160, 160)


def scores() -> dict[tuple[float, float], ConfusionMatrix]:
    """Return the counts over all scenes for each theta_beta and w1."""
    predictor = atrous.Predictor(atrous.load("street-scenes"))
    points = list(product(RGB_STDS, WEIGHTS))
    counts = {point: ConfusionMatrix(len(SCENE_LABELS)) for point in points}
    for seed in range(500, 500 + SCENES):
        image, truth = make_scene(seed, SIZE)
        unary = predictor(image, probabilities=True).probabilities
        for (rgb_std, weight), matrix in counts.items():
            crf = atrous.DenseCRF(Appearance(weight, 30, rgb_std), None, iterations=5)
            matrix.update(crf.map(image, unary), truth)
    return counts


def main() -> None:
    """Draw mIoU over the kernel's weight, and what two of the CRFs do to each class."""
    counts = scores()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    for rgb_std in RGB_STDS:
        means = [counts[rgb_std, weight].mean_iou() for weight in WEIGHTS]
        left.plot(WEIGHTS, means, "o-", label=f"theta_beta {rgb_std}")
    left.set_xlabel("weight of the appearance kernel, w1 (0: no CRF)")
    left.set_ylabel(f"mIoU, {SCENES} scenes")
    left.legend()
    places = np.arange(len(SCENE_LABELS))
    for rgb_std, shift in ((8, -0.2), (90, 0.2)):
        before, after = (np.array(counts[rgb_std, w].iou(), float) for w in (0, WEIGHTS[-1]))
        name = f"theta_beta {rgb_std}, w1 {WEIGHTS[-1]}"
        colour = f"C{RGB_STDS.index(rgb_std)}"
        right.bar(places + shift, after - before, 0.4, label=name, color=colour)
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xticks(places, SCENE_LABELS.names, rotation=30)
    right.set_ylabel("change of IoU")
    right.legend()
    out = sys.argv[1] if len(sys.argv) > 1 else "crf_effect.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
