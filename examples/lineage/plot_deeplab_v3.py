"""DeepLab v3: the larger the rate, the fewer taps of a 3x3 filter fall on the map.

A crop of 513 pixels is a map of 33 x 33 cells at output stride 16 and of 65 x 65 at 8. A filter of
rate 1 has all of its nine taps on the map nearly everywhere; at half the map's side most places
have four, and at its whole side only the centre is left: the filter with the widest view has
become a 1x1. So version 3 keeps to rates that are still filters and takes the widest view from a
mean over the map. Dashed: the rates of the built network, which double as the stride halves.

Run: python examples/lineage/plot_deeplab_v3.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from atrous import create_model

CROP = 513


def valid_taps(side: int, rate: int) -> torch.Tensor:
    """Return how many taps of a 3x3 filter fall on a map at each of its (side, side) places."""
    ones = torch.ones(1, 1, side, side)
    return functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)


def main() -> None:
    """Draw the shares of the places where 9, 6, 4, ... taps fall on the map, by rate."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 3.8), layout="constrained", sharey=True)
    for axis, output_stride in zip(axes, (16, 8), strict=True):
        model = create_model("deeplab_v3", encoder_name="resnet50", output_stride=output_stride)
        with torch.no_grad():
            side = model.eval().score(torch.zeros(1, 3, CROP, CROP)).main.shape[-1]
        rates = range(1, side + 4)
        shares = {
            taps: [float((valid_taps(side, rate) == taps).float().mean()) for rate in rates]
            for taps in (9, 6, 4, 2, 1)
        }
        colours = plt.get_cmap("viridis")(np.linspace(0.95, 0.1, len(shares)))
        names = [f"{taps} tap{'s' * (taps > 1)}" for taps in shares]
        axis.stackplot(rates, *shares.values(), colors=colours, labels=names)
        for layer in model.aspp.modules():
            if isinstance(layer, nn.Conv2d) and layer.dilation[0] > 1:
                axis.axvline(layer.dilation[0], c="w", ls="--", lw=1.2)
                axis.text(layer.dilation[0] + 0.4, 0.03, layer.dilation[0], c="w")
        axis.set(xlim=(1, rates[-1]), ylim=(0, 1), xlabel="rate")
        axis.set_title(f"output stride {output_stride}: {side} x {side} cells")
    axes[0].set_ylabel("share of the places")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False, reverse=True)
    out = sys.argv[1] if len(sys.argv) > 1 else "deeplab_v3.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
