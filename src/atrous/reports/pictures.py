"""Pictures of one segmented image for a page: photo, label, prediction, errors as data URIs."""

import base64
import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from atrous.inference.segmentation import display_rgb, palette_image
from atrous.labels import LabelSet

__all__ = ["WRONG", "View", "error_picture", "mask_png", "photo_uri", "uris", "view"]

WRONG = (232, 89, 12)
"""Colour of a wrong pixel on the greyed image."""


@dataclass(frozen=True)
class View:
    """One image with its labels and predictions, all of one size.

    Attributes:
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8.
        predictions: (H, W) uint8.
        wrong: (H, W) float32 in [0, 1]: how much of a pixel is scored and wrong.
        scored: (H, W) float32 in [0, 1]: how much of it is not void.
    """

    rgb: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    wrong: np.ndarray
    scored: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.labels.shape[0], self.labels.shape[1]

    def shrunk(self, side: int) -> "View":
        """Return the view with its longer side at most `side`; thin errors fade, but stay."""
        scale = min(1.0, side / max(self.size))
        size = (max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale)))
        return View(
            _resize(self.rgb, size, cv2.INTER_AREA),
            _resize(self.labels, size, cv2.INTER_NEAREST),
            _resize(self.predictions, size, cv2.INTER_NEAREST),
            _resize(self.wrong, size, cv2.INTER_AREA),
            _resize(self.scored, size, cv2.INTER_AREA),
        )


def view(image: np.ndarray, labels: np.ndarray, predictions: np.ndarray, ignore_index: int) -> View:
    """Return the view of an image (H, W, C) with its labels and predictions (H, W)."""
    scored = labels != ignore_index
    wrong = scored & (labels != predictions)
    return View(
        display_rgb(image),
        labels,
        predictions,
        wrong.astype(np.float32),
        scored.astype(np.float32),
    )


def uris(shown: View, label_set: LabelSet) -> tuple[str, str, str, str]:
    """Return image, label, prediction and errors: photos as WebP, masks as lossless PNG."""
    return (
        photo_uri(shown.rgb),
        _uri("png", mask_png(shown.labels, label_set)),
        _uri("png", mask_png(shown.predictions, label_set)),
        photo_uri(error_picture(shown)),
    )


def photo_uri(rgb: np.ndarray) -> str:
    """Return a picture (H, W, 3) as a WebP data URI."""
    return _uri("webp", _encode(Image.fromarray(rgb), "WEBP", quality=82))


def mask_png(labels: np.ndarray, label_set: LabelSet) -> bytes:
    """Return labels (H, W) as a palette PNG in the classes' own colours; void is transparent."""
    picture = palette_image(labels, label_set)
    return _encode(picture, "PNG", transparency=label_set.ignore_index, optimize=True)


def error_picture(shown: View) -> np.ndarray:
    """Return the image greyed, its wrong pixels in one strong colour and void darkened."""
    grey = cv2.cvtColor(shown.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] * 0.5 + 96
    grey *= 0.45 + 0.55 * shown.scored[..., None]
    mixed = grey + (np.array(WRONG, np.float32) - grey) * shown.wrong[..., None]
    return np.asarray(mixed.round().clip(0, 255).astype(np.uint8))


def _resize(picture: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=how))


def _encode(image: Image.Image, kind: str, **options: int | bool) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
