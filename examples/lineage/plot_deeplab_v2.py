"""DeepLab v2: one filter at four rates looks at a place with four fields of view.

Atrous spatial pyramid pooling: the taps of each 3x3 filter around one cell, in pixels of the image
(stride 8), for the paper's two sets of rates. The numbers come from the built networks: what
`atrous explain deeplab_v2 --picture out.png` draws beside their receptive fields.

Run: python examples/lineage/plot_deeplab_v2.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch

from atrous import create_model
from atrous.data import make_scene
from atrous.explain import layers
from atrous.explain.sampling import sampling_patterns

SIZE = (513, 513)


def main() -> None:
    """Draw the taps of ASPP-S and ASPP-L over a made street."""
    image, _ = make_scene(21, size=SIZE)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.6), layout="constrained")
    for axis, head in zip(axes, ("aspp_s", "aspp_l"), strict=True):
        model = create_model("deeplab_v2", encoder_name="resnet50", head=head, classes=21)
        rows = layers(model, torch.empty(1, 3, *SIZE, device="meta"))  # shapes alone
        axis.imshow(image, alpha=0.55, extent=(-256.5, 256.5, 256.5, -256.5))
        for pattern in sampling_patterns(model, rows):
            axis.scatter(*pattern.offsets.T, s=40, label=f"rate {pattern.rate}", ec="w", zorder=3)
        axis.legend(loc="lower right")
        axis.set(title=f'head="{head}"', xlabel="pixels from the middle")
    out = sys.argv[1] if len(sys.argv) > 1 else "deeplab_v2.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
