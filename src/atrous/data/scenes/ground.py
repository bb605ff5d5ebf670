"""Road, pavements, markings and the shadows that fall on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from atrous.data.scenes.canvas import NEAR, PAVEMENT, ROAD, Canvas, fixed
from atrous.data.scenes.paints import Colour, asphalt, mix, paving
from atrous.data.scenes.street import FAR, Street

__all__ = ["Shadow", "paint_ground"]


@dataclass(frozen=True)
class Shadow:
    """A shadow on the ground: its outline x, z (N, 2) in metres and how much light it takes."""

    outline: np.ndarray
    strength: float


def paint_ground(
    canvas: Canvas, street: Street, shadows: Sequence[Shadow], rng: np.random.Generator
) -> None:
    """Paint everything below the horizon that is flat."""
    top = int(canvas.view.vanishing[1]) + 2
    slab, tar = paving(rng), asphalt(rng)
    canvas.pixels[top:] = canvas.ink(PAVEMENT, slab, 0)
    _paint_slabs(canvas, street, _times(slab, rng.uniform(0.76, 0.9)))
    _paint_road(canvas, street, tar)
    _paint_kerbs(canvas, street, mix(slab, (205, 203, 198), 0.5))
    _paint_wear(canvas, street, tar, rng)
    _paint_markings(canvas, street, tar, rng)
    _shade_and_veil(canvas, shadows, top)


def _strip(left: float, right: float, start: float = NEAR, end: float = FAR) -> np.ndarray:
    return np.array(((left, start), (right, start), (right, end), (left, end)))


def _flat(canvas: Canvas, label: int, colour: Colour, outlines: np.ndarray) -> None:
    """Fill outlines x, z (..., N, 2) on the ground."""
    canvas.fill(
        canvas.ink(label, colour, 0), canvas.view.project(outlines[..., 0], 0.0, outlines[..., 1])
    )


def _paint_slabs(canvas: Canvas, street: Street, colour: Colour) -> None:
    """Paint the joints of the pavement; far ones would only flicker."""
    reach = min(FAR, 0.09 * canvas.view.focal)
    for side in (-1, 1):
        kerb, front = street.kerb(side), street.front(side) + side * 0.5
        z = np.arange(1.2, reach, 0.9)
        x = np.arange(0.9, abs(front - kerb), 0.9) * side + kerb
        lines = np.empty((len(z) + len(x), 2, 2))  # across the pavement, then along it
        lines[: len(z)] = np.array(((kerb, 0.0), (front, 0.0))) + (0.0, 1.0) * z[:, None, None]
        lines[len(z) :] = np.array(((0.0, NEAR), (0.0, reach))) + (1.0, 0.0) * x[:, None, None]
        points = canvas.view.project(lines[..., 0], 0.0, lines[..., 1])
        canvas.strokes(canvas.ink(PAVEMENT, colour, 0), points, 0.04 * canvas.view.scale(5.0))


def _paint_road(canvas: Canvas, street: Street, tar: Colour) -> None:
    _flat(canvas, ROAD, tar, _strip(street.left, street.right))
    for side in (-1, 1):
        if street.arms[side > 0]:
            kerb = street.kerb(side)
            _flat(canvas, ROAD, tar, _strip(kerb - side, kerb + side * 120, *street.crossing))


def _paint_kerbs(canvas: Canvas, street: Street, stone: Colour) -> None:
    for side in (-1, 1):
        kerb = street.kerb(side)
        pieces = [(NEAR, FAR)]
        if street.arms[side > 0]:
            pieces = [(NEAR, street.crossing[0]), (street.crossing[1], FAR)]
        strips = [_strip(kerb, kerb + side * 0.2, *piece) for piece in pieces]
        _flat(canvas, PAVEMENT, stone, np.array(strips))


def _paint_wear(canvas: Canvas, street: Street, tar: Colour, rng: np.random.Generator) -> None:
    """Patch the asphalt and put manhole covers in it."""
    for _ in range(rng.integers(0, 4)):
        x = rng.uniform(street.left + 0.3, street.right - 2.3)
        z = rng.uniform(3, 18)
        patch = _strip(x, x + rng.uniform(0.6, 2), z, z + rng.uniform(0.8, 4))
        _flat(canvas, ROAD, _times(tar, rng.uniform(0.75, 1.12)), patch)
    for _ in range(rng.integers(0, 3)):
        x, z = rng.uniform(street.left + 0.6, street.right - 0.6), rng.uniform(4, 14)
        scale = canvas.view.scale(z)
        axes = 0.36 * scale, 0.36 * scale * canvas.view.eye / z
        canvas.ellipse(canvas.ink(ROAD, tar, 0, 0.65), canvas.view.foot(x, z), axes)


def _paint_markings(canvas: Canvas, street: Street, tar: Colour, rng: np.random.Generator) -> None:
    """Paint lane dashes, edge lines and the zebra crossing, fresh or worn."""
    fresh = (222, 220, 214) if rng.random() < 0.8 else (212, 176, 76)
    colour = mix(fresh, tar, rng.uniform(0, 0.55))
    shift, lines = rng.uniform(0, 5), []
    for x in np.arange(street.left + street.lane, street.right - 1.5, street.lane):
        starts = np.arange(shift - 5, 60, 6)
        lines += [_strip(x - 0.09, x + 0.09, z, z + 2.6) for z in starts]
    if rng.random() < 0.4:
        for edge in (street.left + 0.3, street.right - 0.42):
            lines.append(_strip(edge, edge + 0.12))
    if lines:
        _flat(canvas, ROAD, colour, np.array(lines))
    if street.zebra[1]:
        bars = np.arange(street.left + 0.5, street.right - 0.6, 1.1)
        _flat(canvas, ROAD, tar, _strip(street.left, street.right, *street.zebra))
        bars = np.array([_strip(bar, bar + 0.55, *street.zebra) for bar in bars])
        _flat(canvas, ROAD, colour, bars)


def _shade_and_veil(canvas: Canvas, shadows: Sequence[Shadow], top: int) -> None:
    """Darken the ground where a shadow falls and fade it into the haze by its distance."""
    view, light = canvas.view, canvas.light
    ground = canvas.pixels[top:]
    below = np.arange(len(ground)) + (top + 0.5 - view.vanishing[1])
    clear = np.exp(-light.density * view.focal * view.eye / below)
    gains: np.ndarray = np.full(ground.shape[:2], 255, np.uint8)
    for shadow in shadows:
        outline = view.project(shadow.outline[:, 0], 0.0, shadow.outline[:, 1]) - (0, top)
        cv2.fillPoly(gains, fixed(outline), 255 * (1 - shadow.strength), cv2.LINE_8, 4)
    gains = cv2.blur(gains, (3, 3))  # a soft edge; the label below is not touched
    gains = cv2.multiply(gains, np.repeat(clear[:, None], gains.shape[1], 1), dtype=cv2.CV_8U)
    cv2.multiply(
        ground, cv2.merge([gains, gains, gains, np.full_like(gains, 255)]), ground, 1 / 255
    )
    veil: np.ndarray = np.empty((len(ground), 1, 4), np.uint8)
    veil[:, 0, :3] = np.rint((1 - clear)[:, None] * light.haze)
    veil[:, 0, 3] = (16 * (1 - clear)).astype(np.uint8) << 4
    cv2.add(ground, np.repeat(veil, ground.shape[1], 1), ground)


def _times(colour: Colour, gain: float) -> Colour:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)
