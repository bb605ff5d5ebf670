"""Street scenes with exact masks, out of nothing.

`atrous.data.make_scene` makes a picture of a street and says for every pixel what it is. The scene
is a small world in metres: a camera, a sun, houses, trees, cars and people, painted far to near.
Colour and label are painted by the same call, so the mask has no error at all; the picture is then
blurred and made grainy like a photograph, the mask is not.

Colours overlap between the classes (grey cars on grey roads, coats in any colour), so a network
has to learn shape, texture and place. This is what `atrous demo` trains on.

Run: python examples/plot_scenes.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from atrous.data import SCENE_LABELS, make_scene

SEEDS = (600, 608, 601, 604, 602, 606)


def main() -> None:
    """Draw six scenes above their masks, with the colours of the classes below."""
    figure, axes = plt.subplots(2, len(SEEDS), figsize=(15, 5.6), layout="constrained")
    palette = SCENE_LABELS.palette()
    for column, seed in enumerate(SEEDS):
        image, labels = make_scene(seed, size=(256, 256))  # (H, W, 3) and (H, W) uint8
        axes[0, column].imshow(image)
        axes[1, column].imshow(palette[labels])
        axes[0, column].set_title(f"seed {seed}")
    for axis in axes.flat:
        axis.set_axis_off()
    keys = [
        Patch(color=[channel / 255 for channel in colour], label=name)
        for name, colour in zip(SCENE_LABELS.names, SCENE_LABELS.colours, strict=True)
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    out = sys.argv[1] if len(sys.argv) > 1 else "scenes.png"
    figure.savefig(out, dpi=80)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
