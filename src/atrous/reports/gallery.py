"""Best and worst images side by side: image, label, prediction and where the two differ."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from atrous.data import DataSpec, Pair
from atrous.evaluation import Evaluation, ImageScore
from atrous.inference import Predictor
from atrous.inference.segmentation import palette_image, to_rgb
from atrous.labels import LabelSet
from atrous.reports.class_rows import Mistake, largest_mistakes

__all__ = ["WRONG", "Exhibit", "best_and_worst", "display_rgb", "error_picture", "mask_picture"]

SIDES = (560, 480, 400, 320, 240, 160, 96)
"""Longest sides to try, in pixels, until the pictures of a report fit into its budget."""

ALIKE = 0.9
"""Two images whose 16 x 16 grey pictures correlate as much show the same place."""

LOOKS = 40
"""How many images are read in search of different ones."""

WRONG = (232, 89, 12)
"""Colour of a wrong pixel on the greyed image."""


@dataclass(frozen=True)
class Exhibit:
    """One image with its four pictures as data URIs.

    Attributes:
        name: File name of the image.
        mean_iou: Its own mIoU, over the `num_classes` classes that its label holds.
        pixel_accuracy: Fraction of its scored pixels that are right.
        mistake: What cost it most pixels, or None if nothing did.
    """

    name: str
    mean_iou: float
    num_classes: int
    pixel_accuracy: float
    mistake: Mistake | None
    size: tuple[int, int]
    image: str
    label: str
    prediction: str
    errors: str
    bytes: int


def best_and_worst(
    evaluation: Evaluation,
    spec: DataSpec,
    predictor: Predictor,
    *,
    split: str,
    each: int = 3,
    budget: int = 1_200_000,
) -> tuple[list[Exhibit], list[Exhibit]]:
    """Predict the best and the worst images once more and picture them.

    Args:
        evaluation: Names the images by their own mIoU.
        spec: Where they and their labels are read.
        predictor: The one that was evaluated.
        split: The split that was evaluated.
        each: At most so many of either; no image is in both, and an image that looks like one
            before it (the next frame of a film) is passed over.
        budget: Bytes that all pictures may take; they are made smaller until they fit.

    Returns:
        The best, best first, and the worst, worst first.
    """
    pairs = {pair.image: pair for pair in spec.splits.get(split, ())}
    scored = [x for x in evaluation.per_image if math.isfinite(x.mean_iou) and x.path in pairs]
    ranked = sorted(scored, key=lambda score: -score.mean_iou)
    half = math.ceil(len(ranked) / 2)
    best, worst = (
        _distinct(scores, pairs, spec, most=each) for scores in (ranked[:half], ranked[half:][::-1])
    )
    chosen = [*best, *worst]
    views = [_view(pairs[score.path], spec, predictor) for score in chosen]
    exhibits: list[Exhibit] = []
    for side in SIDES:
        exhibits = [_exhibit(score, view, side) for score, view in zip(chosen, views, strict=True)]
        if sum(exhibit.bytes for exhibit in exhibits) <= budget:
            break
    return exhibits[: len(best)], exhibits[len(best) :]


def display_rgb(image: np.ndarray) -> np.ndarray:
    """Return any image (H, W, C) uint8 or uint16 as (H, W, 3) uint8 RGB for the eye.

    One channel is grey, two show the first, more show the first three; 16 bits are stretched
    from the 1st to the 99th percentile, since sensors rarely use the whole range.
    """
    if image.dtype == np.uint8:
        return to_rgb(image)
    shown = image[..., :3]
    low, high = np.percentile(shown, (1, 99))
    stretched = (shown.astype(np.float32) - low) * (255 / max(high - low, 1))
    return to_rgb(stretched.clip(0, 255).astype(np.uint8))


def mask_picture(labels: np.ndarray, label_set: LabelSet, size: tuple[int, int]) -> bytes:
    """Return labels (H, W) as a palette PNG in the classes' own colours; void is transparent."""
    picture = palette_image(_resize(labels, size, cv2.INTER_NEAREST), label_set)
    return _encode(picture, "PNG", transparency=label_set.ignore_index, optimize=True)


def error_picture(
    rgb: np.ndarray, wrong: np.ndarray, scored: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the image greyed, its wrong pixels in one strong colour and void darkened.

    Args:
        rgb: (H, W, 3) uint8.
        wrong: (H, W) bool; where label and prediction differ.
        scored: (H, W) bool; False is void.
        size: (height, width) of the picture; a pixel's colour is the fraction of it that is wrong.
    """
    small = _resize(rgb, size, cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] * 0.5 + 96
    grey *= 0.45 + 0.55 * _resize(scored.astype(np.float32), size, cv2.INTER_AREA)[..., None]
    share = _resize((wrong & scored).astype(np.float32), size, cv2.INTER_AREA)[..., None]
    mixed = grey * (1 - share) + np.array(WRONG, np.float32) * share
    return mixed.round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _View:
    """One image at full size."""

    rgb: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    label_set: LabelSet


def _distinct(
    scores: Sequence[ImageScore], pairs: Mapping[Path, Pair], spec: DataSpec, *, most: int
) -> list[ImageScore]:
    """Return the first `most` images that do not look alike; reads at most `LOOKS` of them."""
    chosen: list[ImageScore] = []
    looks: list[np.ndarray] = []
    for score in scores[:LOOKS]:
        look = _look(spec.read_image(pairs[score.path]))
        if all(float(look @ other) < ALIKE for other in looks):
            chosen.append(score)
            looks.append(look)
        if len(chosen) == most:
            break
    return chosen


def _look(image: np.ndarray) -> np.ndarray:
    """Return 16 x 16 grey values as a vector of mean 0 and length 1 (0 for an even image)."""
    grey = cv2.resize(image.mean(axis=2).astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA)
    centred = grey.ravel() - grey.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6))


def _view(pair: Pair, spec: DataSpec, predictor: Predictor) -> _View:
    image = spec.read_image(pair)
    predictions = np.asarray(predictor(image).labels)
    return _View(display_rgb(image), spec.read_labels(pair), predictions, spec.label_set)


def _exhibit(score: ImageScore, view: _View, side: int) -> Exhibit:
    height, width = view.labels.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    scored = view.labels != view.label_set.ignore_index
    errors = error_picture(view.rgb, view.labels != view.predictions, scored, size)
    photo = Image.fromarray(_resize(view.rgb, size, cv2.INTER_AREA))
    uris = (
        _uri("webp", _encode(photo, "WEBP", quality=82)),
        _uri("png", mask_picture(view.labels, view.label_set, size)),
        _uri("png", mask_picture(view.predictions, view.label_set, size)),
        _uri("webp", _encode(Image.fromarray(errors), "WEBP", quality=82)),
    )
    return Exhibit(
        name=Path(score.path).name,
        mean_iou=score.mean_iou,
        num_classes=int((score.matrix.sum(axis=1) > 0).sum()),
        pixel_accuracy=score.pixel_accuracy,
        mistake=next(iter(largest_mistakes(score.matrix, count=1)), None),
        size=size,
        image=uris[0],
        label=uris[1],
        prediction=uris[2],
        errors=uris[3],
        bytes=sum(map(len, uris)),
    )


def _resize(picture: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=how))


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
