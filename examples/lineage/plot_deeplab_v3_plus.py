"""DeepLab v3+: where to spend multiply-adds to get sharp edges back.

Left: a corner of a made street, and the best label maps that scores of stride 16 and of stride 4
allow (true labels averaged over cells, enlarged bilinearly). Right: what three ways to finer
scores cost, counted from the built networks on an image of 513 pixels: dilating the encoder to
stride 8, or keeping 16 and adding the decoder at stride 4; and what separable convolutions save.

Run: python examples/lineage/plot_deeplab_v3_plus.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from atrous import create_model
from atrous.data import SCENE_LABELS, make_scene
from atrous.explain import layers
from atrous.ops import upsample_argmax

NETWORKS = {
    "v3, stride 16": ("deeplab_v3", {"output_stride": 16}),
    "v3, stride 8": ("deeplab_v3", {"output_stride": 8}),
    "v3+, stride 16": ("deeplab_v3_plus", {"output_stride": 16, "separable": False}),
    "v3+, separable": ("deeplab_v3_plus", {"output_stride": 16, "separable": True}),
}


def main() -> None:
    """Draw the detail at two strides, and bars of multiply-adds."""
    size = (256, 256)
    image, labels = make_scene(14, size=size)
    truth = functional.one_hot(torch.from_numpy(labels).long(), 9).permute(2, 0, 1)[None].float()
    best = {s: upsample_argmax(functional.avg_pool2d(truth, s), size)[0].numpy() for s in (16, 4)}
    palette = SCENE_LABELS.palette()

    figure, axes = plt.subplots(
        1, 4, figsize=(13, 3), width_ratios=(1, 1, 1, 1.5), layout="constrained"
    )
    corner = (slice(64, 192), slice(128, 256))
    axes[0].imshow(image[corner])
    axes[0].set_title("a corner of a street")
    for axis, (stride, found) in zip(axes[1:3], best.items(), strict=True):
        axis.imshow(palette[found[corner]])
        axis.set_title(f"at best with stride {stride}")
    for axis in axes[:3]:
        axis.set_axis_off()
    for name, (network, options) in reversed(NETWORKS.items()):
        model = create_model(network, encoder_name="resnet50", classes=21, **options)
        rows = layers(model, torch.empty(1, 3, 513, 513, device="meta"))  # shapes alone
        billions = sum(row.flops for row in rows) / 2e9
        axes[3].barh(name, billions, color="tab:blue" if "+" in name else "0.6")
        axes[3].text(billions, name, f" {billions:.0f}", va="center")
    axes[3].set(title="billion multiply-adds, ResNet-50, 513 x 513", xticks=[])
    axes[3].spines[["top", "right", "bottom"]].set_visible(False)
    axes[3].margins(x=0.12)
    out = sys.argv[1] if len(sys.argv) > 1 else "deeplab_v3_plus.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
