"""FCN: how fine a label map can be with one score every 32, 16 or 8 pixels.

FCN-32s enlarges scores of stride 32, and FCN-16s and 8s add those of finer stages on the way up.
This picture asks what each could say at best: the true labels of a made street, averaged over
cells of 32, 16 and 8 pixels as if a perfect network had scored them, then enlarged bilinearly by
our own fused kernel and compared with the truth. Posts, persons and edges come back with the
stride; that is what the skips are for.

Run: python examples/lineage/plot_fcn.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from atrous.data import SCENE_LABELS, make_scene
from atrous.evaluation import ConfusionMatrix
from atrous.ops import upsample_argmax


def main() -> None:
    """Draw the image, then the best map at each stride with its mean IoU."""
    size = (256, 384)
    image, labels = make_scene(11, size=size)  # (H, W, 3) and (H, W) uint8
    truth = functional.one_hot(torch.from_numpy(labels).long(), 9).permute(2, 0, 1)[None].float()

    figure, axes = plt.subplots(1, 4, figsize=(13, 2.6), layout="constrained")
    axes[0].imshow(image)
    axes[0].set_title("the image")
    for axis, (name, stride) in zip(
        axes[1:], {"FCN-32s": 32, "FCN-16s": 16, "FCN-8s": 8}.items(), strict=True
    ):
        cells = functional.avg_pool2d(truth, stride)  # (1, 9, H / stride, W / stride)
        best = upsample_argmax(cells, size)[0].numpy()
        matrix = ConfusionMatrix(9)
        matrix.update(best, labels)
        axis.imshow(SCENE_LABELS.palette()[best])
        axis.set_title(f"{name} at best: mean IoU {matrix.mean_iou():.2f}")
    for axis in axes:
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "fcn.png"
    figure.savefig(out, dpi=75)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
