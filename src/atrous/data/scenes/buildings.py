"""Houses along a made street: walls in perspective with bricks, windows, shops and roofs."""

from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.canvas import BUILDING, Canvas, Ink
from atrous.data.scenes.paints import Colour, any_paint, mix, wall
from atrous.data.scenes.street import Plot, Street, sample_plots

__all__ = ["paint_buildings"]

_ACROSS = np.array((0.0, 1.0, 1.0, 0.0))
_UP = np.array((0.0, 0.0, 1.0, 1.0))
_FRAME = 0.13 * np.stack([2 * _ACROSS - 1, 2 * _UP - 1], axis=-1)  # around a window


@dataclass(frozen=True)
class _Wall:
    """An upright wall between two ground points.

    Attributes:
        canvas: Where to paint it.
        start: x, z of its left end, seen from outside or not.
        end: x, z of its other end.
        height: Its height in metres.
        colour: Its paint.
        gain: How bright the sun leaves it.
    """

    canvas: Canvas
    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    colour: Colour
    gain: float

    @property
    def length(self) -> float:
        """Return the length in metres."""
        return abs(self.end[0] - self.start[0]) + abs(self.end[1] - self.start[1])

    @property
    def distance(self) -> float:
        """Return z of the middle."""
        return 0.5 * (self.start[1] + self.end[1])

    def ink(self, colour: Colour, gain: float = 1.0) -> Ink:
        """Return the ink of a part of this wall."""
        return self.canvas.ink(BUILDING, colour, self.distance, self.gain * gain)

    def project(self, along: np.ndarray, up: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points on the wall in metres."""
        share = along / self.length
        x = self.start[0] + (self.end[0] - self.start[0]) * share
        z = self.start[1] + (self.end[1] - self.start[1]) * share
        return self.canvas.view.project(x, up, z)


def paint_buildings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint both rows of houses, far ones first, and now and then one across the street's end."""
    if rng.random() < 0.4:
        z, paint = rng.uniform(70, 120), wall(rng)
        ends = (street.front(-1) - 15, z), (street.front(1) + 15, z)
        gain = canvas.light.gain(0, -1)
        _paint_wall(_Wall(canvas, *ends, rng.uniform(8, 20), paint, gain), rng)
    for side in (-1, 1):
        for plot in reversed(sample_plots(street, side, rng)):
            _paint_house(canvas, street.front(side), side, plot, rng)


def _paint_house(
    canvas: Canvas, front: float, side: int, plot: Plot, rng: np.random.Generator
) -> None:
    paint, depth = wall(rng), front + side * rng.uniform(8, 12)
    gain = canvas.light.gain(0, -1)
    near = _Wall(canvas, (front, plot.start), (depth, plot.start), plot.height, paint, gain)
    if plot.pitched:
        _paint_roof(near, side, plot, rng)
    if plot.hidden == 0:
        _paint_wall(near, rng)
    elif plot.hidden < plot.height:
        canvas.fill(near.ink(paint), near.project(_ACROSS * near.length, _UP * near.height))
    gain = canvas.light.gain(-side, 0)
    ends = (front, plot.start), (front, plot.end)
    _paint_wall(_Wall(canvas, *ends, plot.height, paint, gain), rng)


def _paint_roof(near: _Wall, side: int, plot: Plot, rng: np.random.Generator) -> None:
    """Paint a pitched roof: the slope towards the street, then the gable towards the camera."""
    canvas, half, rise = near.canvas, near.length / 2, rng.uniform(2, 3.5)
    tiles = mix((112, 52, 40), (84, 84, 90), rng.random())
    x = near.start[0] + side * np.array((-0.3, -0.3, half, half))
    y = plot.height + np.array((-0.2, -0.2, rise, rise))
    z = np.array((plot.start, plot.end, plot.end, plot.start))
    middle = 0.5 * (plot.start + plot.end)
    ink = canvas.ink(BUILDING, tiles, middle, canvas.light.gain(-side, 0))
    canvas.fill(ink, canvas.view.project(x, y, z))
    gable = near.project(np.array((0, half, 2 * half)), near.height + np.array((0, rise, 0)))
    canvas.fill(near.ink(near.colour), gable)


def _paint_wall(face: _Wall, rng: np.random.Generator) -> None:
    """Paint a wall with all that is on it, as far as it is in the image and near enough."""
    up = np.stack([_UP * face.height, face.height - _UP * 0.45])
    outline, rim = face.project(np.stack([_ACROSS, _ACROSS]) * face.length, up)
    left, right = outline[:, 0].min(), outline[:, 0].max()
    if right < 0 or left > face.canvas.view.size[1]:
        return
    face.canvas.fill(face.ink(face.colour), outline)
    scale = face.canvas.view.scale(face.distance)
    if right - left < 4 or scale < 1.5:
        return
    if scale > 8 and rng.random() < 0.7:
        _paint_courses(face, rng)
    _paint_openings(face, scale > 4, rng)
    face.canvas.fill(face.ink(mix(face.colour, (90, 80, 75), 0.5)), rim)


def _paint_courses(face: _Wall, rng: np.random.Generator) -> None:
    """Paint the courses of bricks or boards."""
    up = np.arange(0.5, face.height, rng.uniform(0.35, 0.65))
    lines = face.project(np.array(((0.0, face.length),)), up[:, None])
    face.canvas.strokes(face.ink(face.colour, rng.uniform(0.84, 0.93)), lines, 1)


def _paint_openings(face: _Wall, fine: bool, rng: np.random.Generator) -> None:
    """Paint the windows of the upper floors in a grid, some lit, then the ground floor."""
    floor, bay = rng.uniform(2.8, 3.6), rng.uniform(1.9, 3.6)
    wide, tall = bay * rng.uniform(0.35, 0.6), floor * rng.uniform(0.4, 0.62)
    columns = np.arange((face.length % bay + bay - wide) / 2, face.length - wide, bay)
    floors = np.arange(floor + 0.8, face.height - tall - 0.5, floor)
    windows = _rectangles(columns, floors, wide, tall)
    corners = np.stack([windows, windows + _FRAME])
    panes, frames = face.project(corners[..., 0], corners[..., 1])
    if fine:
        frame = mix(face.colour, (235, 232, 225) if rng.random() < 0.6 else (70, 60, 55), 0.6)
        face.canvas.fill(face.ink(frame), frames)
    glass = mix((45, 55, 68), face.canvas.light.zenith, rng.uniform(0.0, 0.6))
    lit = rng.random(len(panes)) < face.canvas.light.lamps
    face.canvas.fill(face.ink(glass), panes[~lit])
    lamp = face.canvas.glow(BUILDING, (250, 218, 150), face.distance)
    face.canvas.fill(lamp, panes[lit])
    if fine and len(columns):
        _paint_ground_floor(face, columns, wide, bay, rng)


def _paint_ground_floor(
    face: _Wall, columns: np.ndarray, wide: float, bay: float, rng: np.random.Generator
) -> None:
    """Paint shop windows under a board, or small windows and doors."""
    if rng.random() < 0.5:
        shops = _rectangles(columns - 0.2, np.array((0.5,)), wide + 0.4, 1.9)
        board = _rectangles(columns[:1] - 0.3, np.array((2.5,)), bay * len(columns), 0.6)
        first, second = mix((60, 65, 72), any_paint(rng), 0.25), any_paint(rng)
    else:
        shops = _rectangles(columns[::2], np.array((0.9,)), wide, 1.4)
        board = _rectangles(columns[1::3], np.array((0.0,)), 1.0, 2.1)
        first, second = (60.0, 66.0, 76.0), mix((80, 55, 40), any_paint(rng), 0.4)
    points = np.concatenate([shops, board])
    pixels = face.project(points[..., 0], points[..., 1])
    face.canvas.fill(face.ink(first), pixels[: len(shops)])
    face.canvas.fill(face.ink(second), pixels[len(shops) :])


def _rectangles(along: np.ndarray, up: np.ndarray, wide: float, tall: float) -> np.ndarray:
    """Return upright rectangles (N, 4, 2) on a wall, one for each pair of `along` and `up`."""
    corners = np.empty((len(up), len(along), 4, 2))
    corners[..., 0] = along[:, None] + _ACROSS * wide
    corners[..., 1] = up[:, None, None] + _UP * tall
    return corners.reshape(-1, 4, 2)
