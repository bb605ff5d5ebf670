"""Segment a picture with the model that ships with the package: no download, no GPU.

`atrous.load("street-scenes")` opens a small DeepLab v3+ on MobileNetV2 that was trained on made
street scenes; it lies in the installed package. `Predictor` takes an array, a file or a PIL image
of any size and gives back a `Segmentation`: labels, their names and colours, an overlay.

The scene here is one that the model has never seen, and as it was made, its true classes are known
for every pixel. The last picture marks where the model is wrong: along the edges, mostly.

Run: python examples/plot_shipped_model.py [out.png]
"""

import sys

import matplotlib.pyplot as plt

import atrous
from atrous.data import SCENE_LABELS, make_scene

SEED = 20_005  # the training scenes have other seeds


def main() -> None:
    """Draw the scene, its true classes, what the model sees, and where it is wrong."""
    image, truth = make_scene(SEED, size=(256, 384))  # (H, W, 3) and (H, W) uint8
    predictor = atrous.Predictor(atrous.load("street-scenes"), device="cpu")
    result = predictor(image)
    wrong = result.labels != truth

    palette = SCENE_LABELS.palette()
    pictures = {
        "image": image,
        "true classes": palette[truth],
        "what the model sees": palette[result.labels],
        f"wrong: {100 * wrong.mean():.1f} % of the pixels": wrong,
    }
    figure, axes = plt.subplots(1, len(pictures), figsize=(15, 2.9), layout="constrained")
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, cmap="gray_r")
        axis.set_title(title)
        axis.set_axis_off()
    out = sys.argv[1] if len(sys.argv) > 1 else "shipped_model.png"
    figure.savefig(out, dpi=80)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
