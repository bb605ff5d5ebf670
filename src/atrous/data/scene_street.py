"""What stands still in a made street scene: sky, ground, shadows and buildings."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from atrous.data.scene_paints import any_paint, asphalt, leaf, paving, wall
from atrous.data.scene_textures import clouds
from atrous.data.scene_view import (
    BUILDING,
    NEAR,
    PAVEMENT,
    ROAD,
    SKY,
    TREE,
    Canvas,
    Colour,
    Light,
    View,
    mix,
)

__all__ = ["Street", "paint_buildings", "paint_ground", "paint_sky", "sample_street"]

FAR = 140.0
"""The street ends at this many metres."""


@dataclass(frozen=True)
class Street:
    """The plan of the street, in metres.

    Attributes:
        left: x of the left kerb (negative).
        right: x of the right kerb.
        pavements: Widths of the left and the right pavement.
        lane: Width of one lane.
        crossing: z range of the side street, or None.
        arms: Whether the side street opens to the left and to the right.
        zebra: z range of the zebra crossing, or None.
    """

    left: float
    right: float
    pavements: tuple[float, float]
    lane: float
    crossing: tuple[float, float] | None
    arms: tuple[bool, bool]
    zebra: tuple[float, float] | None

    def kerb(self, side: int) -> float:
        """Return x of the kerb on the left (-1) or the right (1)."""
        return self.left if side < 0 else self.right

    def front(self, side: int) -> float:
        """Return x of the house fronts on the left (-1) or the right (1)."""
        return self.kerb(side) + side * self.pavements[side > 0]

    def blocked(self, side: int, start: float, end: float) -> bool:
        """Say whether the pavement of `side` is cut by the side street between two z."""
        if self.crossing is None or not self.arms[side > 0]:
            return False
        return start < self.crossing[1] and end > self.crossing[0]


def sample_street(rng: np.random.Generator) -> Street:
    """Draw lanes, pavements, side street and zebra crossing."""
    lane = rng.uniform(2.8, 3.5)
    lanes = int(rng.choice((2, 2, 2, 3, 4)))
    ours = rng.integers(0, lanes) + rng.uniform(0.3, 0.7)
    parking = 2.1 * rng.integers(0, 2, 2)
    left = -ours * lane - parking[0]
    right = (lanes - ours) * lane + parking[1]
    pavements = (rng.uniform(2.2, 5.0), rng.uniform(2.2, 5.0))
    crossing, arms, zebra = None, (False, False), None
    if rng.random() < 0.5:
        start = rng.uniform(11, 40)
        crossing = (start, start + rng.uniform(6, 9))
        arms = ((True, True), (True, False), (False, True))[rng.integers(3)]
    if rng.random() < 0.45:
        start = crossing[0] - 4.5 if crossing else rng.uniform(6, 22)
        zebra = (start, start + 3.2)
    return Street(left, right, pavements, lane, crossing, arms, zebra)


def paint_sky(canvas: Canvas, view: View, light: Light, rng: np.random.Generator) -> None:
    """Paint the sky down to the horizon and the far skyline before it."""
    rows = min(canvas.pixels.shape[0], int(view.vanishing[1]) + 2)
    width = canvas.pixels.shape[1]
    fall = (np.linspace(0, 1, rows, dtype=np.float32) ** 1.3)[:, None, None]
    zenith, haze = np.float32(light.zenith), np.float32(light.haze)
    sky = zenith + (haze - zenith) * fall
    cover = clouds((rows, width), rng).astype(np.float32)
    cover = np.clip((cover - 190 + 110 * light.clouds) / 70, 0, 0.85)[..., None]
    white = 0.35 * haze + 0.65 * np.float32((238, 236, 236)) * np.float32(light.tint)
    sky = sky + (white - sky) * cover * (1 - 0.5 * fall)
    canvas.pixels[:rows, :, :3] = np.clip(sky, 0, 255)
    canvas.pixels[:rows, :, 3] = SKY
    _paint_skyline(canvas, view, light, rng)


def _paint_skyline(canvas: Canvas, view: View, light: Light, rng: np.random.Generator) -> None:
    column = -10.0
    z = FAR
    while column < view.size[1]:
        wide, tall = rng.uniform(8, 26), rng.uniform(5, 22)
        edge = column + wide * view.scale(z)
        top = view.vanishing[1] - tall * view.scale(z)
        bottom = view.vanishing[1] + 3
        if rng.random() < 0.3:
            colour = light.seen(leaf(rng), z, 0.75)
            centre = (column + edge) / 2, bottom
            canvas.ellipse(TREE, colour, centre, ((edge - column) * 0.6, (bottom - top) * 0.8))
        else:
            colour = light.seen(wall(rng), z, 0.8)
            box = [(column, top), (edge, top), (edge, bottom), (column, bottom)]
            canvas.fill(BUILDING, colour, box)
        column = edge


def paint_ground(
    canvas: Canvas,
    view: View,
    light: Light,
    street: Street,
    shadows: Sequence[tuple[np.ndarray, float]],
    rng: np.random.Generator,
) -> None:
    """Paint pavements, road, markings and the shadows (outline in x, z and strength) that fall on them."""
    top = int(view.vanishing[1]) + 2
    tar = asphalt(rng)
    slab = paving(rng)
    canvas.pixels[top:] = (*_lit(slab, light), PAVEMENT)
    _paint_slabs(canvas, view, street, _lit(slab, light, 0.86))
    _flat(canvas, view, ROAD, _lit(tar, light), _strip(street.left, street.right))
    _paint_side_street(canvas, view, light, street, tar)
    _paint_kerbs(canvas, view, light, street, slab)
    _paint_markings(canvas, view, light, street, rng)
    _paint_wear(canvas, view, light, street, tar, rng)
    _shade(canvas.pixels[top:, :, :3], view, shadows, top)
    _veil(canvas.pixels[top:, :, :3], view, light, top)


def _lit(colour: Colour, light: Light, gain: float = 1.0) -> Colour:
    return light.seen(colour, 0, gain)


def _strip(left: float, right: float, start: float = NEAR, end: float = FAR) -> np.ndarray:
    return np.array([(left, start), (right, start), (right, end), (left, end)])


def _on_ground(view: View, outline: np.ndarray) -> np.ndarray:
    """Project an outline in x, z (N, 2) on the ground; what lies behind NEAR is pulled to it."""
    points = np.insert(outline, 1, 0.0, axis=-1)
    return view.project(points)


def _flat(canvas: Canvas, view: View, label: int, colour: Colour, *outlines: np.ndarray) -> None:
    canvas.fill(label, colour, *(_on_ground(view, outline) for outline in outlines))


def _paint_slabs(canvas: Canvas, view: View, street: Street, colour: Colour) -> None:
    for side in (-1, 1):
        near, far = street.kerb(side), street.front(side) + side * 0.5
        lines = [[(near, z), (far, z)] for z in np.arange(1.5, 18, 0.9)]
        lines += [[(x, NEAR), (x, 18)] for x in np.linspace(near, far, 4)]
        ground = _on_ground(view, np.array(lines))
        canvas.strokes(PAVEMENT, colour, ground, 1)


def _paint_side_street(
    canvas: Canvas, view: View, light: Light, street: Street, tar: Colour
) -> None:
    if street.crossing is None:
        return
    for side in (-1, 1):
        if street.arms[side > 0]:
            kerb = street.kerb(side)
            outline = _strip(kerb - side, kerb + side * 120, *street.crossing)
            _flat(canvas, view, ROAD, _lit(tar, light), outline)


def _paint_kerbs(
    canvas: Canvas, view: View, light: Light, street: Street, slab: Colour
) -> None:
    colour = _lit(mix(slab, (200, 198, 192), 0.5), light)
    for side in (-1, 1):
        kerb = street.kerb(side)
        pieces = [(NEAR, FAR)]
        if street.crossing is not None and street.arms[side > 0]:
            pieces = [(NEAR, street.crossing[0]), (street.crossing[1], FAR)]
        outlines = [_strip(kerb, kerb + side * 0.22, *piece) for piece in pieces]
        _flat(canvas, view, PAVEMENT, colour, *outlines)


def _paint_markings(
    canvas: Canvas, view: View, light: Light, street: Street, rng: np.random.Generator
) -> None:
    white = (215, 214, 208) if rng.random() < 0.8 else (205, 170, 70)
    colour = _lit(mix(white, (120, 120, 120), rng.uniform(0, 0.45)), light)
    start = rng.uniform(0, 5)
    lines = []
    x = street.left + street.lane
    while x < street.right - 1.5:
        lines += [
            _strip(x - 0.09, x + 0.09, max(NEAR, z), z + 2.6)
            for z in np.arange(start - 5, 60, 6)
            if z + 2.6 > NEAR
        ]
        x += street.lane
    if rng.random() < 0.4:
        lines += [_strip(street.left + 0.3, street.left + 0.42)]
        lines += [_strip(street.right - 0.42, street.right - 0.3)]
    if lines:
        _flat(canvas, view, ROAD, colour, *lines)
    if street.zebra is not None:
        bars = np.arange(street.left + 0.5, street.right - 0.6, 1.1)
        strips = [_strip(bar, bar + 0.55, *street.zebra) for bar in bars]
        _flat(canvas, view, ROAD, _lit((210, 210, 206), light), *strips)


def _paint_wear(
    canvas: Canvas,
    view: View,
    light: Light,
    street: Street,
    tar: Colour,
    rng: np.random.Generator,
) -> None:
    """Patch the asphalt and put manhole covers in it."""
    for _ in range(rng.integers(0, 4)):
        x, z = rng.uniform(street.left + 0.5, street.right - 2.5), rng.uniform(3, 18)
        patch = _strip(x, x + rng.uniform(0.6, 2), z, z + rng.uniform(0.8, 4))
        _flat(canvas, view, ROAD, _lit(tar, light, rng.uniform(0.75, 1.12)), patch)
    for _ in range(rng.integers(0, 3)):
        x, z = rng.uniform(street.left + 1, street.right - 1), rng.uniform(4, 14)
        centre = view.point(x, 0, z)
        scale = view.scale(z)
        axes = 0.36 * scale, 0.36 * scale * view.eye / z
        canvas.ellipse(ROAD, _lit(tar, light, 0.6), centre, axes)


def _shade(
    pixels: np.ndarray, view: View, shadows: Sequence[tuple[np.ndarray, float]], top: int
) -> None:
    """Darken the ground where a shadow falls, with a slightly soft edge."""
    cover = np.zeros(pixels.shape[:2], np.uint8)
    for shadow, strength in shadows:
        outline = _on_ground(view, shadow) - (0, top)
        cv2.fillPoly(cover, [np.rint(outline * 16).astype(np.int32)], round(255 * strength), cv2.LINE_8, 4)
    gain = 255 - cv2.blur(cover, (3, 3)).astype(np.float32)
    np.multiply(pixels, gain[..., None] / 255, out=pixels, casting="unsafe")


def _veil(pixels: np.ndarray, view: View, light: Light, top: int) -> None:
    """Fade the ground into the haze by its distance."""
    below = np.arange(pixels.shape[0], dtype=np.float32) + (top - view.vanishing[1])
    distance = view.focal * view.eye / np.maximum(below, 0.5)
    share = (1 - np.exp(-light.density * distance))[:, None, None]
    haze = np.float32(light.haze)
    np.copyto(pixels, pixels * (1 - share) + haze * share, casting="unsafe")


def paint_buildings(
    canvas: Canvas, view: View, light: Light, street: Street, rng: np.random.Generator
) -> None:
    """Paint both rows of houses, far ones first, and sometimes a house at the street's end."""
    if rng.random() < 0.4:
        _paint_end(canvas, view, light, street, rng)
    for side in (-1, 1):
        plots = _plots(street, side, rng)
        tallest = rng.uniform(8, 24)
        for start, end in reversed(plots):
            height = min(tallest * rng.uniform(0.6, 1.1), 26)
            _paint_house(canvas, view, light, street.front(side), side, start, end, height, rng)


def _plots(street: Street, side: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    plots = []
    z = NEAR
    while z < FAR - 30:
        length = rng.uniform(7, 18)
        if street.crossing is not None and street.blocked(side, z, z + length):
            end = street.crossing[0] - 1.5
            if end - z > 3:
                plots.append((z, end))
            z = street.crossing[1] + 1.5
            continue
        plots.append((z, z + length))
        z += length + (rng.uniform(3, 9) if rng.random() < 0.2 else 0.0)
    return plots


def _paint_end(
    canvas: Canvas, view: View, light: Light, street: Street, rng: np.random.Generator
) -> None:
    z = rng.uniform(70, 120)
    height = rng.uniform(8, 20)
    left, right = street.front(-1) - 15, street.front(1) + 15
    _paint_wall(canvas, view, light, wall(rng), (left, z), (right, z), height, 0.85, rng)


def _paint_house(
    canvas: Canvas,
    view: View,
    light: Light,
    front: float,
    side: int,
    start: float,
    end: float,
    height: float,
    rng: np.random.Generator,
) -> None:
    paint = wall(rng)
    depth = front + side * rng.uniform(8, 12)
    toward = 0.9 if light.cast[1] > 0 else 0.72
    _paint_wall(canvas, view, light, paint, (front, start), (depth, start), height, toward, rng)
    gain = light.side_gain(-side)
    _paint_wall(canvas, view, light, paint, (front, start), (front, end), height, gain, rng)


def _paint_wall(
    canvas: Canvas,
    view: View,
    light: Light,
    colour: Colour,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    gain: float,
    rng: np.random.Generator,
) -> None:
    """Paint an upright wall between two ground points x, z with bricks, windows and a roof edge."""
    z = 0.5 * (start[1] + end[1])
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))

    def quads(across: np.ndarray, up: np.ndarray, wide: float, tall: float) -> np.ndarray:
        """Return rectangles on the wall (N, 4, 2) in pixels, by lower left corner in metres."""
        shares = np.stack([across, across + wide, across + wide, across], -1) / length
        ups = np.stack([up, up, up + tall, up + tall], -1)
        xs = start[0] + (end[0] - start[0]) * shares
        zs = start[1] + (end[1] - start[1]) * shares
        return view.project(np.stack([xs, ups, zs], -1))

    zero = np.zeros(1)
    canvas.fill(BUILDING, light.seen(colour, z, gain), quads(zero, zero, length, height)[0])
    if view.scale(z) * 3 < 2:
        return
    if z < 30 and rng.random() < 0.7:
        courses = np.arange(0.5, height, rng.uniform(0.35, 0.6))
        lines = quads(0 * courses, courses, length, 0)[:, :2]
        canvas.strokes(BUILDING, light.seen(colour, z, gain * rng.uniform(0.86, 0.93)), lines, 1)
    _paint_openings(canvas, light, quads, colour, z, length, height, gain, rng)
    edge = mix(colour, (90, 80, 75), 0.5)
    rim = quads(zero, zero + height - 0.45, length, 0.45)[0]
    canvas.fill(BUILDING, light.seen(edge, z, gain), rim)


def _paint_openings(canvas, light, quads, colour, z, length, height, gain, rng) -> None:
    """Paint windows with frames in a grid, and shops or a door below."""
    floor, bay = rng.uniform(2.8, 3.6), rng.uniform(1.9, 3.4)
    wide, tall = bay * rng.uniform(0.35, 0.6), floor * rng.uniform(0.4, 0.62)
    columns = np.arange((length % bay) / 2 + (bay - wide) / 2, length - wide - 0.2, bay)
    floors = np.arange(floor + 0.8, height - tall - 0.5, floor)
    if len(columns) == 0:
        return
    across, up = (part.ravel() for part in np.meshgrid(columns, floors))
    if len(across):
        frame = mix(colour, (235, 232, 225) if rng.random() < 0.6 else (70, 60, 55), 0.6)
        if z < 45:
            border = quads(across - 0.13, up - 0.13, wide + 0.26, tall + 0.26)
            canvas.fill(BUILDING, light.seen(frame, z, gain), *border)
        lit = rng.random(len(across)) < light.lamps
        glass = mix((45, 55, 68), light.haze, rng.uniform(0.05, 0.5))
        panes = quads(across, up, wide, tall)
        canvas.fill(BUILDING, light.seen(glass, z, gain), *panes[~lit])
        if lit.any():
            canvas.fill(BUILDING, mix((250, 215, 140), light.haze, 0.2), *panes[lit])
    _paint_shops(canvas, light, quads, z, columns, wide, bay, gain, rng)


def _paint_shops(canvas, light, quads, z, columns, wide, bay, gain, rng) -> None:
    ground = np.zeros(len(columns))
    if rng.random() < 0.55:
        glass = mix((60, 65, 72), any_paint(rng), 0.2)
        panes = quads(columns - 0.2, ground + 0.5, wide + 0.4, 1.9)
        canvas.fill(BUILDING, light.seen(glass, z, gain), *panes)
        board = quads(columns[:1] - 0.3, ground[:1] + 2.5, bay * len(columns), 0.55)
        canvas.fill(BUILDING, light.seen(any_paint(rng), z, gain), *board)
    else:
        panes = quads(columns[::2], ground[::2] + 0.9, wide, 1.4)
        canvas.fill(BUILDING, light.seen((60, 66, 76), z, gain), *panes)
        if len(columns) > 1:
            doors = quads(columns[1::3], ground[1::3], 1.0, 2.1)
            canvas.fill(BUILDING, light.seen(mix((80, 55, 40), any_paint(rng), 0.4), z, gain), *doors)
