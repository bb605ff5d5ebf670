"""One segmented image: labels, what they mean, how sure the network was, and pictures of it."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atrous.errors import InputError
from atrous.files import write_bytes
from atrous.labels import LabelSet

__all__ = ["Segmentation", "display_rgb", "palette_image", "to_rgb", "uncertainty"]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a predictor says about one image.

    Attributes:
        labels: (H, W) uint8, the class of each pixel.
        label_set: Names and colours of the classes.
        probabilities: (K, H, W) float32, or None if they were not asked for.
        uncertainty: (H, W) float32 in [0, 1], entropy over its largest value log K, or None.
            Multiplied by log K it is in nats.
        image: (H, W, C) as the network's reader gave it.
        confidence: (H, W) float32, the probability of each label, or None if not asked for.
        mutual_information: (H, W) float32 in [0, 1], the part of the uncertainty that comes from
            passes that differ, on the same scale; None without `Predictor(uncertainty=...)`.
        variance: (H, W) float32 in [0, 0.25], of the probabilities over the passes, as the mean
            over the classes (Bayesian SegNet's map); None without `Predictor(uncertainty=...)`.
    """

    labels: NDArray[np.uint8]
    label_set: LabelSet
    probabilities: NDArray[np.float32] | None
    uncertainty: NDArray[np.float32] | None
    image: np.ndarray
    confidence: NDArray[np.float32] | None = None
    mutual_information: NDArray[np.float32] | None = None
    variance: NDArray[np.float32] | None = None

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """Return the image with the classes' colours laid over it.

        Args:
            opacity: 0 shows the image alone, 1 the colours alone.

        Raises:
            InputError: `opacity` lies outside 0..1.
        """
        if not 0 <= opacity <= 1:
            raise InputError(f"opacity is {opacity}; give a number from 0 to 1")
        colours = Image.fromarray(self.label_set.palette()[self.labels])
        return Image.blend(Image.fromarray(display_rgb(self.image)), colours, opacity)

    def save(self, path: str | Path) -> None:
        """Write the labels as a palette PNG, whole or not at all.

        Raises:
            InputError: The name does not end in .png.
            OSError: The disk is full, the folder read-only, ...
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InputError(f"{path} is not a .png; other formats would change the labels")
        # In memory first: Pillow's own writes to a full disk raise an OSError without a reason.
        content = io.BytesIO()
        palette_image(self.labels, self.label_set).save(content, format="PNG")
        write_bytes(path, content.getvalue())


def palette_image(labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """Return labels (H, W) as an 8-bit palette image in the colours of `label_set`."""
    picture = Image.fromarray(labels)
    picture.putpalette(label_set.palette().tobytes())
    return picture


def display_rgb(image: np.ndarray) -> NDArray[np.uint8]:
    """Return any image (H, W, C) as (H, W, 3) uint8 RGB for the eye, and for nothing else.

    16 bits are stretched from the 1st to the 99th percentile (or, where these are equal, from the
    lowest to the highest value), since sensors rarely use the whole range.
    """
    if image.dtype != np.uint16:
        return to_rgb(image)
    shown = image[..., :3]
    step = 1 + max(shown.shape[:2]) // 1024  # of a million pixels the percentiles are the same
    low, high = np.percentile(shown[::step, ::step], (1, 99))
    if low == high:
        low, high = float(shown.min()), float(shown.max())
    levels = np.clip((np.arange(65536) - low) * (255 / max(high - low, 1)), 0, 255)
    return to_rgb(levels.astype(np.uint8)[shown])


def to_rgb(image: np.ndarray) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8, white as white: grey repeated, the first three of many channels."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = np.rint(image * 255).astype(np.uint8)
    channels = image.shape[2]
    rgb = image[..., :3] if channels >= 3 else np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(rgb)


def uncertainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy of probabilities (K, H, W), divided by log K: (H, W) in [0, 1]."""
    entropy = np.zeros(probabilities.shape[1:], np.float32)
    for p in probabilities:  # one class at a time: 20 megapixels of 21 classes are 1.7 GB
        entropy -= p * np.log(np.maximum(p, np.finfo(np.float32).tiny))
    largest = np.float32(max(np.log(len(probabilities)), 1e-9))  # of one class alone it is 0
    scaled: NDArray[np.float32] = np.clip(entropy / largest, 0, 1)
    return scaled
