"""Where is a network in doubt, and is it wrong there?

`Predictor(uncertainty="mc_dropout")` sends the image through 20 networks that dropout draws from
the one that was trained (Bayesian SegNet). The entropy of their mean says how doubtful a pixel is,
for whatever reason; the mutual information how far the networks contradict each other. The first
lies along every border; the second is what more training data would lower.

The line surrounds the most doubtful connected region, as `atrous predict --review` draws it.

Run: python examples/plot_uncertainty.py [out.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import atrous
from atrous.data import make_scene
from atrous.inference.review import doubtful_region, smoothed_doubt

SEED = 20_011  # the training scenes have other seeds


def main() -> None:
    """Draw the scene, where the model is wrong, and both maps of doubt."""
    image, truth = make_scene(SEED, size=(256, 384))
    model = atrous.load("street-scenes")
    result = atrous.Predictor(model, uncertainty="mc_dropout", device="cpu")(image)
    wrong = result.labels != truth
    doubt, mutual = result.uncertainty, result.mutual_information
    region = doubtful_region(smoothed_doubt(doubt))
    top = doubt >= np.quantile(doubt, 0.95)

    pictures = {
        "image, most doubtful region": (image, 255),
        f"wrong: {100 * wrong.mean():.1f} % of the pixels": (wrong, 1),
        f"entropy: {100 * wrong[top].mean():.0f} % wrong in the top 5 %": (doubt, 1),
        f"mutual information, 0 to {mutual.max():.2f}": (mutual, mutual.max()),
    }
    figure, axes = plt.subplots(1, len(pictures), figsize=(15, 2.9), layout="constrained")
    for axis, (title, (picture, most)) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=most)
        axis.set_title(title)
        axis.set_axis_off()
    for colour, width in (("black", 3), ("white", 1.5)):
        axes[0].contour(region, levels=[0.5], colors=colour, linewidths=width)
    out = sys.argv[1] if len(sys.argv) > 1 else "uncertainty.png"
    figure.savefig(out, dpi=80)
    print(f"Wrote {out}")


if __name__ == "__main__":
    main()
