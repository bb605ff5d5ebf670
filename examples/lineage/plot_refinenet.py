"""RefineNet: a chain of poolings sees far and keeps what is near.

Chained residual pooling over a map of edges, with the convolutions between the poolings set to
pass everything on. Each 5x5 maximum works on the result of the one before, so that the four see
5x5, 9x9, 13x13 and 17x17 cells; the sum of all of them and of the map itself is what goes on, so
that the fine map is never lost.

Run: python examples/lineage/plot_refinenet.py [out.png]
"""

import itertools
import sys

import matplotlib.pyplot as plt
import torch
from torch import nn

from atrous.data import make_scene
from atrous.models.refinenet import ChainedResidualPooling


def passing(blocks: int) -> ChainedResidualPooling:
    """Return a chain for one channel whose convolutions pass their input on."""
    chain = ChainedResidualPooling(1, blocks=blocks)
    for convolution in chain.convs:
        assert isinstance(convolution, nn.Conv2d)
        nn.init.dirac_(convolution.weight)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return chain


def main() -> None:
    """Draw the map, what each pooling adds, and the sum."""
    image, _ = make_scene(8, size=(512, 768))
    grey = torch.from_numpy(image).float().mean(2)[None, None] / 255
    cells = nn.functional.avg_pool2d(grey, 8)  # (1, 1, 64, 96): stride 8
    edges = (cells - nn.functional.avg_pool2d(cells, 3, 1, 1)).abs()
    with torch.no_grad():
        sums = [edges] + [passing(blocks)(edges) for blocks in range(1, 5)]

    figure, axes = plt.subplots(2, 3, figsize=(13, 5.9), layout="constrained")
    panels = {"edges of a street, stride 8": edges}
    for number, (less, more) in enumerate(itertools.pairwise(sums), 1):
        panels[f"pooling {number} adds: {4 * number + 1}x{4 * number + 1} cells"] = more - less
    panels["the sum"] = sums[-1]
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        axis.imshow(values[0, 0].sqrt(), cmap="magma")
        axis.set_title(title)
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "refinenet.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
