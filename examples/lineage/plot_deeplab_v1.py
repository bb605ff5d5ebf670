"""DeepLab v1: the hole algorithm gives denser answers and changes none of the old ones.

Above: a filter over one row of a made street. With a stride of 4 it answers at every fourth place
(dots). Without the stride the same weights would see a quarter of what they were trained on; with
holes between its taps it sees the same, and answers at every place (line), through each dot.
Below: what fc6 may look like once it is such a filter: taps over 56 x 56 cells of stride 8 of the
four kernels of the paper, fc6 of VGG-16 being a 7 x 7 filter to begin with.

Run: python examples/lineage/plot_deeplab_v1.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from atrous.data import make_scene
from atrous.models.deeplab_v1 import FC6


def main() -> None:
    """Draw both answers along a row, then the taps of each fc6."""
    image, _ = make_scene(5, size=(160, 320))
    row = torch.from_numpy(image[100]).float().mean(1)[None, None] / 255  # (1, 1, 320)
    weights = torch.tensor([[[-1.0, -1.0, 0.0, 1.0, 1.0]]])
    strided = functional.conv1d(row[..., ::4], weights, padding=2)[0, 0]
    holes = functional.conv1d(row, weights, padding=8, dilation=4)[0, 0]

    figure = plt.figure(figsize=(13, 5.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    axis = above.subplots()
    axis.plot(holes, c="tab:blue", lw=1, label="filter with holes, at every place")
    axis.plot(range(0, 320, 4), strided, "o", c="tab:red", ms=4, label="filter after a stride of 4")
    axis.set(xlim=(0, 319), xlabel="pixel", title="the same five weights")
    axis.legend(frameon=False, ncols=2)
    for axis, name in zip(below.subplots(1, 4), FC6, strict=True):
        kernel, rate, channels = FC6[name]
        taps = (torch.arange(kernel) - (kernel - 1) / 2) * rate
        axis.scatter(*torch.cartesian_prod(taps, taps).T, s=14, c="tab:blue")
        millions = kernel**2 * 512 * channels / 1e6
        axis.set(aspect="equal", xlim=(-16, 16), ylim=(-16, 16), xlabel="cells of 8 pixels")
        axis.set_title(
            f'"{name}": {kernel}x{kernel}, rate {rate}, {millions:.1f} M weights', size=10
        )
    out = sys.argv[1] if len(sys.argv) > 1 else "deeplab_v1.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
