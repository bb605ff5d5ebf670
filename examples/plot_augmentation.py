"""What training sees: one scene, nine random views of it, and the labels moved along.

A network that has seen every street at one size, upright and in one light stumbles over the next
camera. So training shows it another view of an image each time: zoomed by 0.5 to 2, turned by up
to ten degrees, mirrored or not, cropped, lit differently.

The four moves are one 2 x 3 matrix. The image is warped by it once, linearly, and the labels once,
each pixel taking the nearest one, so that no label is ever a mixture of two. Outside the image the
label is void and nothing is learnt; the flat colour there becomes zero by normalisation.

Run: python examples/plot_augmentation.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from atrous.data import SCENE_LABELS, JointTransform, make_scene


def main() -> None:
    """Draw the scene and nine views above their labels, with the colours of the classes below."""
    image, labels = make_scene(3, size=(240, 320))  # (H, W, 3) and (H, W) uint8
    transform = JointTransform((256, 256), scale_range=(0.5, 2.0), rotation=10.0, flip=0.5)
    rng = np.random.default_rng(2)  # all randomness; the same state gives the same bytes
    views = [(image, labels)] + [transform(image, labels, rng) for _ in range(9)]

    figure, axes = plt.subplots(4, 5, figsize=(11, 9.8), layout="constrained")
    palette = SCENE_LABELS.palette()  # void is black
    for number, (view, view_labels) in enumerate(views):
        row, column = 2 * (number // 5), number % 5
        axes[row, column].imshow(view)
        axes[row + 1, column].imshow(palette[view_labels])
        axes[row, column].set_title(f"view {number}" if number else "the scene")
    for axis in axes.flat:
        axis.set_axis_off()
    keys = [
        Patch(color=palette[label] / 255, label=name)
        for label, name in [*enumerate(SCENE_LABELS.names), (255, "void")]
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    out = sys.argv[1] if len(sys.argv) > 1 else "augmentation.png"
    figure.savefig(out, dpi=80)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
