"""The dense CRF: what each kernel tells a pixel, and what ten iterations make of it.

A network that sees a street at two fifths of its size knows what is where, but not exactly where.
Take one pixel that it has wrong (the cross). The appearance kernel asks the pixels that are near
and of the same colour, the smoothness kernel those that are near; each answer is a vote over the
classes. Then all pixels ask again, with what they learnt: labels after 0, 1, 3 and 10 iterations.
Look at the borders, which arrive at the first iteration, and at thin poles, which may get lost.

Run: python examples/plot_crf.py [out.png]
"""

import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import atrous
from atrous.data import SCENE_LABELS, make_scene

CRF = atrous.DenseCRF.published("pydensecrf")
ITERATIONS = (0, 1, 3, 10)


def kernels(image: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how much each pixel has to say to (x, y): k1 and k2 by their formulas, (H, W)."""
    rows, columns = np.indices(image.shape[:2])
    near = (rows - y) ** 2.0 + (columns - x) ** 2
    alike = ((image - image[y, x].astype(float)) ** 2).sum(-1)
    first, second = CRF.appearance, CRF.smoothness
    appearance = np.exp(-near / (2 * first.xy_std**2) - alike / (2 * first.rgb_std**2))
    return appearance, np.exp(-near / (2 * second.xy_std**2))


def main() -> None:
    """Draw the kernels and their votes above the labels after 0, 1, 3 and 10 iterations."""
    image, truth = make_scene(4, (256, 256))  # (H, W, 3) and (H, W) uint8
    coarse = atrous.Predictor(atrous.load("street-scenes"), scales=(0.4,))
    unary = coarse(image, probabilities=True).probabilities  # (K, H, W)
    states = [replace(CRF, iterations=count)(image, unary) for count in ITERATIONS]
    mended = (unary.argmax(0) != truth) & (states[-1].argmax(0) == truth)
    margin = np.where(mended, unary.max(0) * states[-1].max(0), 0)
    inner = np.pad(margin[24:-24, 24:-24], 24)
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    maps = kernels(image, x, y)
    votes = [(unary * kernel).sum((1, 2)) / kernel.sum() for kernel in maps]

    figure, axes = plt.subplots(2, 4, figsize=(13, 6.8), layout="constrained")
    axes[0, 0].imshow(image)
    axes[0, 0].set_title("the image, and a pixel")
    axes[0, 1].imshow(maps[0], cmap="magma", vmin=0, vmax=1)
    axes[0, 1].set_title("asked by appearance")
    axes[0, 2].imshow(maps[1], cmap="magma", vmin=0, vmax=1)
    axes[0, 2].set(xlim=(x - 20, x + 20), ylim=(y + 20, y - 20))  # the rest is 0
    axes[0, 2].set_title("asked by smoothness, 40 px")
    for axis in axes[0, :3]:
        axis.plot(x, y, "+", color="cyan", markersize=14, markeredgewidth=2)
    voted = {"network": unary[:, y, x], "appearance": votes[0], "smoothness": votes[1]}
    voted["after 10"] = states[-1][:, y, x]
    colours = SCENE_LABELS.palette() / 255
    left = np.zeros(len(voted))
    for index, name in enumerate(SCENE_LABELS.names):
        share = np.array([vote[index] for vote in voted.values()])
        label = name if share.max() > 0.1 else None
        axes[0, 3].barh(
            list(voted), share, left=left, color=colours[index], ec="white", label=label
        )
        left += share
    axes[0, 3].invert_yaxis()
    axes[0, 3].set_title(f"what they say ({SCENE_LABELS.names[truth[y, x]]} is right)")
    axes[0, 3].legend(loc="lower left", fontsize=8)
    axes[0, 3].set_box_aspect(0.95)
    axes[0, 3].tick_params(axis="y", pad=2, labelsize=8)
    axes[0, 3].set_xticks([])
    for axis, count, state in zip(axes[1], ITERATIONS, states, strict=True):
        labels = state.argmax(0)
        axis.imshow(SCENE_LABELS.palette()[labels])
        right = 100 * (labels == truth).mean()
        name = "the network alone" if count == 0 else f"{count} iteration{'s' * (count > 1)}"
        axis.set_title(f"{name}: {right:.1f} % right")
    for axis in (*axes[0, :3], *axes[1]):
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "crf.png"
    figure.savefig(out, dpi=70)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
