"""Made street scenes with exact masks: for the demo, for tests and for the shipped model.

A scene is a small world in metres (camera, street, houses, things on it), painted from far to near
and then photographed. Colours overlap between the classes; shape, texture and place tell them
apart, so a network has something to learn.
"""

import io
import zlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from atrous.data.layout import SPLITS
from atrous.data.scenes.buildings import paint_buildings
from atrous.data.scenes.canvas import Canvas, sample_view
from atrous.data.scenes.ground import paint_ground
from atrous.data.scenes.layout import sample_layout
from atrous.data.scenes.light import sample_light
from atrous.data.scenes.sky import paint_sky
from atrous.data.scenes.street import sample_street
from atrous.data.scenes.textures import grain, surface
from atrous.errors import InputError
from atrous.files import write_bytes, write_text
from atrous.labels import LabelSet

__all__ = ["SCENE_LABELS", "make_scene", "write_scenes"]

SCENE_LABELS = LabelSet(
    names=("sky", "building", "road", "pavement", "tree", "car", "person", "pole", "sign"),
    colours=(
        (70, 130, 180),
        (102, 102, 122),
        (128, 64, 128),
        (244, 35, 232),
        (107, 142, 35),
        (30, 60, 200),
        (220, 20, 60),
        (190, 190, 190),
        (250, 200, 0),
    ),
)
"""The nine classes of a made scene, coloured as street data sets are wont to."""

SMALLEST = 32
"""Fewer pixels a side show no street."""


def make_scene(
    rng: int | np.random.Generator, size: tuple[int, int] = (256, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Make one street scene; the same seed gives the same bytes.

    Args:
        rng: A seed, or the generator to draw from.
        size: Height and width in pixels, each at least 32; things grow with it.

    Returns:
        The image (H, W, 3) uint8 RGB and its labels (H, W) uint8 in `SCENE_LABELS`.

    Raises:
        InputError: The size is too small.
    """
    if min(size) < SMALLEST:
        raise InputError(
            f"a scene of {size[0]}x{size[1]} pixels was asked for, but the smallest is "
            f"{SMALLEST}x{SMALLEST}; ask for a larger size"
        )
    rng = np.random.default_rng(rng)
    canvas = Canvas(sample_view(rng, size), sample_light(rng))
    street = sample_street(rng)
    layout = sample_layout(canvas.view, canvas.light, street, rng)
    paint_sky(canvas, rng)
    paint_ground(canvas, street, layout.shadows, rng)
    paint_buildings(canvas, street, rng)
    layout.paint(canvas, rng)
    return _photograph(canvas, rng), canvas.labels()


def write_scenes(
    folder: str | Path,
    count_by_split: Mapping[str, int],
    *,
    size: tuple[int, int] = (256, 256),
    seed: int = 0,
) -> None:
    """Write scenes as a data folder: `<split>/images`, `<split>/masks` and `data.yaml`.

    Args:
        folder: Where to write; made if it is missing.
        count_by_split: How many scenes each split gets, e.g. {"train": 400, "val": 60}.
        size: Height and width in pixels.
        seed: The same seed gives the same files; a split does not change with the others, which
            and how large they are.

    Raises:
        InputError: The size is too small.
        OSError: The folder cannot be written to.
    """
    folder = Path(folder)
    for split, count in count_by_split.items():
        for index in range(count):
            image, labels = make_scene(np.random.default_rng((seed, _number(split), index)), size)
            write_bytes(folder / split / "images" / f"{index:05d}.jpg", _jpeg(image))
            write_bytes(folder / split / "masks" / f"{index:05d}.png", _palette_png(labels))
    write_text(folder / "data.yaml", _describe(list(count_by_split)))


def _number(split: str) -> int:
    """Return what a split adds to the seed; by its name, not by its place among the others."""
    return SPLITS.index(split) if split in SPLITS else len(SPLITS) + zlib.crc32(split.encode())


def _photograph(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Give the painted scene its surfaces, lens blur, exposure, white balance, grain."""
    gains = surface(canvas.labels(), canvas.clearness(), rng)
    image = cv2.cvtColor(canvas.pixels, cv2.COLOR_RGBA2RGB)
    image = cv2.multiply(image, cv2.cvtColor(gains, cv2.COLOR_GRAY2RGB), scale=1 / 128)
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.7))
    balance = rng.uniform(0.8, 1.2) * (1 + rng.normal(0, 0.03, 3))
    levels = np.clip(np.arange(256)[:, None] / 255 * balance, 0, 1) ** rng.uniform(0.88, 1.1)
    image = cv2.LUT(image, np.rint(255 * levels).astype(np.uint8)[None])
    noise = rng.uniform(0.03, 0.09)
    image = cv2.addWeighted(image, 1.0, grain(gains.shape, rng), noise, -128 * noise)
    return np.asarray(image, np.uint8)


def _jpeg(image: np.ndarray) -> bytes:
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return encoded.tobytes()


def _palette_png(labels: np.ndarray) -> bytes:
    mask = Image.fromarray(labels)
    mask.putpalette(SCENE_LABELS.palette().tobytes())
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def _describe(splits: list[str]) -> str:
    """Return the `data.yaml`: where the splits lie and what the labels mean."""
    return yaml.safe_dump(
        {split: split for split in splits} | SCENE_LABELS.to_json(),
        sort_keys=False,
        default_flow_style=None,
    )
