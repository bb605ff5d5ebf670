"""PSPNet: ask the whole image, its quarters, its ninths and its thirty-sixths.

The pyramid of the network, with the image itself in the place of features: means over 1x1, 2x2,
3x3 and 6x6 parts, each enlarged bilinearly and put beside the map, so that every place is judged
with its surroundings at four sizes.

Run: python examples/lineage/plot_pspnet.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from atrous.data import make_scene
from atrous.ops import resize


def main() -> None:
    """Draw the image and its four means, as parts and enlarged."""
    size = (240, 320)
    image, _ = make_scene(6, size=size)
    features = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255

    figure, axes = plt.subplots(2, 5, figsize=(13, 4.3), layout="constrained")
    axes[0, 0].imshow(image)
    axes[0, 0].set_title("the image")
    for column, parts in enumerate((1, 2, 3, 6), 1):
        means = functional.adaptive_avg_pool2d(features, parts)
        for row, shown in enumerate((means, resize(means, size))):
            extent = (0, size[1], size[0], 0)
            axes[row, column].imshow(shown[0].permute(1, 2, 0), extent=extent)
        axes[0, column].set_title(f"means over {parts}x{parts} parts")
        axes[1, column].set_title("enlarged")
    for axis in axes.flat:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "pspnet.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
