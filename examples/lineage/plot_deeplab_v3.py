"""DeepLab v3: the larger the rate, the fewer taps of a 3x3 filter fall on the map.

A map of 65 x 65 cells is an image of 513 pixels at stride 8. A filter at rate 1 has all of its nine
taps on the map nearly everywhere; at rate 32 most places have four, and near rate 64 only the
centre is left: the filter with the widest view is a 1x1. So version 3 keeps to rates that are
still filters, and takes the widest view from a mean over the map. Counted with convolutions of
ones; the dashed lines are the rates that the network has at stride 8 and 16.

Run: python examples/lineage/plot_deeplab_v3.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional

SIDE = 65


def main() -> None:
    """Draw the shares of the places where 9, 6, 4, ... taps fall on the map, by rate."""
    ones, kernel = torch.ones(1, 1, SIDE, SIDE), torch.ones(1, 1, 3, 3)
    rates = range(1, SIDE + 4)
    shares = {taps: np.zeros(len(rates)) for taps in (9, 6, 4, 3, 2, 1)}
    for column, rate in enumerate(rates):
        valid = functional.conv2d(ones, kernel, padding=rate, dilation=rate)
        for taps in shares:
            shares[taps][column] = (valid == taps).float().mean()

    figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
    colours = plt.get_cmap("viridis")(np.linspace(0.95, 0.1, len(shares)))
    labels = [f"{taps} taps" for taps in shares]
    axis.stackplot(rates, *shares.values(), colors=colours, labels=labels)
    for rate in (6, 12, 18, 24, 36):
        axis.axvline(rate, c="w", ls="--", lw=1)
        axis.text(rate + 0.4, 0.03, rate, c="w")
    axis.set(xlim=(1, rates[-1]), ylim=(0, 1), xlabel="rate", ylabel="share of the 65 x 65 places")
    figure.legend(loc="outside right center", frameon=False, reverse=True)
    out = sys.argv[1] if len(sys.argv) > 1 else "deeplab_v3.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
