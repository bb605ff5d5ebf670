"""U-Net: what makes thirty images enough.

First: a tile. Its convolutions are valid, so the network reads a larger square than it scores
(yellow: 388 from 572 pixels in the paper's network), and beyond the image's border it reads the
mirror image. Second: made cells, with the weight of each pixel in the loss; the gaps between
cells that touch count up to ten times more. Last: the same cells bent by displacements drawn at
the nodes of a 3 x 3 grid, labels and image by the same map; a new sample each time.

Run: python examples/lineage/plot_unet.py [out.png]
"""

import sys

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle

from atrous.data import JointTransform
from atrous.data.border_weights import border_weights
from atrous.models.unet import mirror

SIZE, OUTPUT, INPUT = 512, 388, 572


def cells(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (512, 512, 3) of cells that nearly touch, and their labels, both uint8."""
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for centre in rng.uniform(0, SIZE, (1500, 2)).astype(int):
        cell = np.zeros_like(labels)
        axes = rng.integers(20, 45, 2).tolist()
        cv2.ellipse(cell, centre.tolist(), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        free = cell & (1 - cv2.dilate(labels, np.ones((5, 5), np.uint8)))  # two pixels of gap
        if free.sum() > 0.75 * np.pi * axes[0] * axes[1]:
            labels |= free
    grain = cv2.GaussianBlur(rng.normal(0, 60, labels.shape), (0, 0), 1.5)
    image = np.clip(90 + 110 * cv2.GaussianBlur(labels * 1.0, (0, 0), 2) + grain, 0, 255)
    return image.astype(np.uint8)[..., None].repeat(3, 2), labels


def main() -> None:
    """Draw a tile with its context, the weights, and a bent sample."""
    rng = np.random.default_rng(4)
    image, labels = cells(rng)
    edge = (INPUT - OUTPUT) // 2
    side = SIZE + 2 * edge
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    mirrored = mirror(planes, edge, (side, side))[0].permute(1, 2, 0).numpy()
    bent, bent_labels = JointTransform(
        (SIZE, SIZE), scale_range=(1, 1), rotation=0, flip=0, elastic=20
    )(image, labels, rng)

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
    axes[0].imshow(mirrored, extent=(-edge, SIZE + edge, SIZE + edge, -edge))
    for corner, length, colour, style in (
        (0, SIZE, "tab:red", ":"),
        (-edge, INPUT, "tab:blue", "-"),
        (0, OUTPUT, "gold", "-"),
    ):
        square = Rectangle((corner, corner), length, length, fill=False, ec=colour, ls=style, lw=2)
        axes[0].add_patch(square)
    axes[0].set_title("the image (dots), mirrored\noutside: 572 read, 388 scored")
    weights = border_weights(labels, class_weights=(1.0, 1.0))
    axes[1].imshow(labels[:200, :200], cmap="gray", vmax=3)
    lit = np.ma.masked_less(weights[:200, :200], 1.3)
    shown = axes[1].imshow(lit, cmap="plasma", vmin=1, vmax=10)
    figure.colorbar(shown, ax=axes[1], shrink=0.7)
    axes[1].set_title("weight of each pixel in\nthe loss, enlarged")
    axes[2].imshow(image)
    axes[2].contour(labels, [0.5], colors="tab:red", linewidths=0.8)
    axes[2].set_title("a sample with its labels ...")
    axes[3].imshow(bent)
    axes[3].contour(bent_labels == 1, [0.5], colors="tab:red", linewidths=0.8)
    axes[3].set_title("... and bent, both by one map")
    for axis in axes:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "unet.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
