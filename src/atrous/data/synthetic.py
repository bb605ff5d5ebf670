"""Made street scenes with exact masks: for the demo, for tests and for the shipped model.

A scene is a small world in metres (camera, street, houses, things on it), painted far to near.
Colours overlap between the classes; shape, texture and place tell them apart.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from atrous.data.scene_objects import paint_car, paint_person, paint_pole, paint_sign, paint_tree
from atrous.data.scene_street import (
    Street,
    paint_buildings,
    paint_ground,
    paint_sky,
    sample_street,
)
from atrous.data.scene_textures import grain, surface
from atrous.data.scene_view import Canvas, Light, View, sample_light, sample_view
from atrous.errors import InputError
from atrous.files import write_bytes, write_text
from atrous.labels import LabelSet

__all__ = ["SCENE_LABELS", "make_scene", "write_scenes"]

SCENE_LABELS = LabelSet(
    ("sky", "building", "road", "pavement", "tree", "car", "person", "pole", "sign"),
    (
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
"""The nine classes of a made scene."""

SMALLEST = 32
"""Fewer pixels a side show no street."""

Thing = tuple[float, float, Callable[[Canvas], None]]


def make_scene(
    rng: int | np.random.Generator, size: tuple[int, int] = (256, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Make one street scene; the same seed gives the same bytes.

    Args:
        rng: A seed, or the generator to draw from.
        size: Height and width in pixels, each at least 32.

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
    view, light, street = sample_view(rng, size), sample_light(rng), sample_street(rng)
    canvas = Canvas(size)
    things, shadows = _populate(view, light, street, rng)
    paint_sky(canvas, view, light, rng)
    paint_ground(canvas, view, light, street, shadows, rng)
    paint_buildings(canvas, view, light, street, rng)
    for _, _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint(canvas)
    labels = np.ascontiguousarray(canvas.pixels[..., 3])
    return _photograph(canvas.pixels, labels, view, rng), labels


def _populate(view: View, light: Light, street: Street, rng: np.random.Generator):
    things, shadows = [], []

    def add(painter, x, z, *rest, shadow=None):
        seed = rng.spawn(1)[0] if False else rng
        things.append((z, x, lambda canvas: painter(canvas, view, light, x, z, *rest, seed)))
        shadows.extend(shadow or ())

    for side in (-1, 1):
        kerb, front = street.kerb(side), street.front(side)
        # houses' shadow
        if side * light.cast[0] < 0:
            reach = min(9 * abs(light.cast[0]), 16)
            outline = np.array([(front, 0.8), (front, 140), (front - side * reach, 140), (front - side * reach, 0.8)])
            shadows.append((outline, 1 - light.shadow))
        _line_street(view, light, street, side, add, rng)
    _traffic(view, light, street, add, rng)
    return things, shadows


def _line_street(view, light, street, side, add, rng):
    kerb, front = street.kerb(side), street.front(side)
    inner = kerb + side * 0.6
    near = view.entry(inner)
    if rng.random() < 0.75:
        z = near * rng.uniform(1.0, 1.6)
        gap = rng.uniform(7, 14)
        while z < 70:
            if not street.blocked(side, z, z) and rng.random() < 0.8:
                add(paint_tree, inner + side * 0.3, z, shadow=[_disc(inner, z, 5.5, 1.8, light)])
            z += gap
    z = near * rng.uniform(1.02, 1.9)
    gap = rng.uniform(9, 22)
    while z < 60:
        if not street.blocked(side, z, z):
            add(paint_pole, inner, z, shadow=[_stick(inner, z, 6, 0.1, light)])
        z += gap
    for _ in range(rng.integers(1, 4)):
        z = near * math.exp(rng.uniform(0.05, 1.2))
        if not street.blocked(side, z, z):
            add(paint_sign, inner - side * 0.1, z, shadow=[_stick(inner, z, 2.5, 0.1, light)])
    for _ in range(rng.poisson(2.6)):
        x = kerb + side * rng.uniform(0.5, abs(front - kerb) - 0.4)
        z = view.entry(x) * math.exp(rng.uniform(0.0, 1.5))
        add(paint_person, x, z, shadow=[_stick(x, z, 1.7, 0.22, light), _foot(x, z, 0.3, 0.2)])
    if rng.random() < 0.7:
        x = kerb - side * 1.1
        z = view.entry(x) * rng.uniform(1.0, 1.5) + 2
        while z < 70:
            if not street.blocked(side, z - 3, z + 3) and rng.random() < 0.6:
                _car(view, light, x, z, 0.0 if side > 0 else rng.choice((0.0, math.pi)), add, rng)
            z += rng.uniform(5.5, 8)


def _traffic(view, light, street, add, rng):
    if rng.random() < 0.12:
        return
    for _ in range(rng.integers(0, 4)):
        lane = rng.uniform(street.left + 1.6, street.right - 1.6)
        z = max(6.0, view.entry(lane)) * math.exp(rng.uniform(0.1, 1.8))
        _car(view, light, lane, z, 0.0 if lane > -1 else math.pi, add, rng)
    if street.crossing is not None and rng.random() < 0.5:
        z = sum(street.crossing) / 2 + rng.uniform(-1, 1)
        _car(view, light, rng.uniform(street.left, street.right), z, rng.choice((-0.5, 0.5)) * math.pi, add, rng)
    if street.zebra is not None:
        for _ in range(rng.integers(0, 4)):
            x, z = rng.uniform(street.left, street.right), rng.uniform(*street.zebra)
            add(paint_person, x, z, shadow=[_stick(x, z, 1.7, 0.22, light), _foot(x, z, 0.3, 0.2)])


def _car(view, light, x, z, yaw, add, rng):
    yaw = yaw + rng.normal(0, 0.03)
    along = np.array([math.sin(yaw), math.cos(yaw)])
    across = np.array([along[1], -along[0]])
    corners = np.array([along * a * 2.2 + across * b * 0.95 for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]) + (x, z)
    cast = np.vstack([corners, corners + np.array(light.cast) * 1.3]).astype(np.float32)
    hull = cv2.convexHull(cast)[:, 0].astype(np.float64)
    add(paint_car, x, z, yaw, shadow=[(hull, 1 - light.shadow), (corners, 0.6)])


def _stick(x, z, tall, half, light):
    tip = x + light.cast[0] * tall, z + light.cast[1] * tall
    return np.array([(x - half, z), (tip[0] - half, tip[1]), (tip[0] + half, tip[1]), (x + half, z)]), 1 - light.shadow


def _foot(x, z, half, deep):
    angles = np.linspace(0, 2 * np.pi, 9)
    return np.stack([x + half * np.cos(angles), z + deep * np.sin(angles)], -1), 0.45


def _disc(x, z, tall, half, light):
    angles = np.linspace(0, 2 * np.pi, 13)
    x, z = x + light.cast[0] * tall, z + light.cast[1] * tall
    return np.stack([x + half * np.cos(angles), z + half * np.sin(angles)], -1), 1 - light.shadow


def _photograph(pixels: np.ndarray, labels: np.ndarray, view: View, rng: np.random.Generator) -> np.ndarray:
    """Give the painted scene its surface, then lens blur, exposure, white balance and grain."""
    gains = surface(labels, view, rng)
    image = cv2.multiply(np.ascontiguousarray(pixels[..., :3]), cv2.merge([gains] * 3), scale=1 / 128)
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.75))
    exposure, contrast = rng.uniform(0.78, 1.2), rng.uniform(0.9, 1.1)
    balance = exposure * (1 + rng.normal(0, 0.035, 3))
    levels = np.arange(256)[:, None] * balance
    levels = 255 * (np.clip(levels / 255, 0, 1) ** contrast)
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    noise = rng.uniform(0.05, 0.22)
    return cv2.addWeighted(image, 1.0, grain(labels.shape, rng), noise, -128 * noise)


def write_scenes(
    folder: Path, count_by_split: Mapping[str, int], *, size: tuple[int, int] = (256, 256), seed: int = 0
) -> None:
    """Write scenes as a data folder: `<split>/images`, `<split>/masks` and `data.yaml`.

    Args:
        folder: Where to write; made if it is missing.
        count_by_split: How many scenes each split gets, e.g. {"train": 400, "val": 60}.
        size: Height and width in pixels.
        seed: The same seed gives the same files.
    """
    folder = Path(folder)
    for order, (split, count) in enumerate(count_by_split.items()):
        for index in range(count):
            image, labels = make_scene(np.random.default_rng((seed, order, index)), size)
            done, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert done
            write_bytes(folder / split / "images" / f"{index:05d}.jpg", encoded.tobytes())
            write_bytes(folder / split / "masks" / f"{index:05d}.png", _mask_png(labels))
    lines = [f"{split}: {split}" for split in count_by_split]
    lines += [f"names: [{', '.join(SCENE_LABELS.names)}]"]
    lines += ["colours: [" + ", ".join(str(list(colour)) for colour in SCENE_LABELS.colours) + "]"]
    write_text(folder / "data.yaml", "\n".join([*lines, "ignore_index: 255", ""]))


def _mask_png(labels: np.ndarray) -> bytes:
    import io

    from PIL import Image

    image = Image.fromarray(labels)
    image.putpalette(SCENE_LABELS.palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
