"""PSPNet: ask the whole image, its quarters, its ninths and its thirty-sixths.

The pyramid of the network, with the image itself in the place of features: it puts means over
1x1, 2x2, 3x3 and 6x6 parts beside the map, each enlarged bilinearly, so that every place is judged
with its surroundings at four sizes. (The network also shrinks each level by a 1x1 convolution.)

Run: python examples/lineage/plot_pspnet.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch

from atrous.data import make_scene
from atrous.models.pspnet import PyramidPooling

BINS = (1, 2, 3, 6)


def main() -> None:
    """Draw the image and what each level of the pyramid puts beside it."""
    image, _ = make_scene(6, size=(240, 320))
    features = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
    pyramid = PyramidPooling(3, BINS, reduce=False)
    levels = pyramid(features)[0].unflatten(0, (-1, 3))  # the image, then the four levels

    figure, axes = plt.subplots(1, 5, figsize=(13, 2.3), layout="constrained")
    titles = ("the map itself", *(f"means of {parts}x{parts} parts" for parts in BINS))
    for axis, level, title in zip(axes, levels, titles, strict=True):
        axis.imshow(level.permute(1, 2, 0))
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "pspnet.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
