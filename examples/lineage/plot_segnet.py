"""SegNet: 2 bits remember where each maximum stood, and unpooling puts it back there.

On the left a map of 8 x 8 values; each 2 x 2 window keeps its largest (outlined). Pooling halves
the map and notes in 2 bits which of the four pixels it was: 0 1 above, 2 3 below. Unpooling writes
each value back to its pixel and leaves the rest empty for the decoder's convolutions to fill.
Enlarging bilinearly, beside it, has to guess: the ridge smears over the windows around it.

Run: python examples/lineage/plot_segnet.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle

from atrous.ops import max_pool_2bit, max_unpool_2bit, resize


def main() -> None:
    """Draw the map, the pooled map with its codes, and two ways back to the full size."""
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    ridge = torch.exp(-(((column - 0.65 * row - 1.3) / 0.9) ** 2))
    image = (ridge + 0.12 * torch.rand(8, 8, generator=torch.manual_seed(1)))[None, None]
    pooled, codes = max_pool_2bit(image)  # (1, 1, 4, 4), and four 2-bit codes in a byte
    unpooled = max_unpool_2bit(pooled, codes, (8, 8))
    enlarged = resize(pooled, (8, 8))
    places = unpooled[0, 0].nonzero()  # (row, column) of each maximum

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
    maps = (image, pooled, unpooled, enlarged)
    titles = (
        "a map and its maxima",
        "pooled, with the 2-bit codes",
        "unpooled by the codes",
        "enlarged without them",
    )
    for axis, values, title in zip(axes, maps, titles, strict=True):
        axis.imshow(values[0, 0], cmap="Blues", vmin=0, vmax=1.15)
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
    for y, x in places.tolist():
        axes[0].add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, ec="tab:red", lw=2))
        code, dark = 2 * (y % 2) + x % 2, image[0, 0, y, x] > 0.5
        axes[1].text(
            x // 2, y // 2, code, c="w" if dark else "k", size=16, ha="center", va="center"
        )
    for line in (1.5, 3.5, 5.5):
        for axis in (axes[0], axes[2]):
            axis.axhline(line, c="0.6", lw=0.8)
            axis.axvline(line, c="0.6", lw=0.8)
    figure.suptitle(
        f"{image.numel()} values, {pooled.numel()} windows: {codes.numel()} bytes of codes, "
        f"where torch's indices take {8 * pooled.numel()}"
    )
    out = sys.argv[1] if len(sys.argv) > 1 else "segnet.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
