"""The camera, the light and the canvas of a made street scene.

World coordinates are metres: x to the right, y up from the ground, z away from the camera, which
stands at (0, camera height, 0) and looks along z. The canvas has four channels, red, green, blue
and label: one drawing call paints colour and label together, so the mask is exact to the pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = [
    "BUILDING",
    "CAR",
    "NEAR",
    "PAVEMENT",
    "PERSON",
    "POLE",
    "ROAD",
    "SIGN",
    "SKY",
    "TREE",
    "Canvas",
    "Colour",
    "Light",
    "View",
    "mix",
    "sample_light",
    "sample_view",
]

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(9)

NEAR = 0.8
"""Nothing closer to the camera than this many metres is projected."""

Colour = tuple[float, float, float]

_SHIFT = 4  # drawing coordinates carry 4 fractional bits


@dataclass(frozen=True)
class View:
    """A pinhole camera: where a point of the street lands in the image.

    Attributes:
        size: Image height and width in pixels.
        vanishing: Column and row of the point that all lines along z run to.
        focal: Focal length in pixels: what is 1 m wide at z metres is focal / z pixels wide.
        eye: Height of the camera above the ground in metres.
    """

    size: tuple[int, int]
    vanishing: tuple[float, float]
    focal: float
    eye: float

    def scale(self, z: float) -> float:
        """Return how many pixels one metre takes at distance `z`."""
        return self.focal / max(z, NEAR)

    def point(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return column and row of one point."""
        scale = self.scale(z)
        return self.vanishing[0] + x * scale, self.vanishing[1] + (self.eye - y) * scale

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return columns and rows (..., 2) of the points x, y, z (..., 3)."""
        scale = self.focal / np.maximum(points[..., 2], NEAR)
        columns = self.vanishing[0] + points[..., 0] * scale
        rows = self.vanishing[1] + (self.eye - points[..., 1]) * scale
        return np.stack([columns, rows], axis=-1)

    def entry(self, x: float) -> float:
        """Return the distance from which a foot point at `x` on the ground is in the image."""
        height, width = self.size
        side = width - self.vanishing[0] if x > 0 else self.vanishing[0]
        below = height - self.vanishing[1]
        return max(NEAR, self.focal * abs(x) / side, self.focal * self.eye / below)


@dataclass(frozen=True)
class Light:
    """Sun, sky and haze of one scene.

    Attributes:
        tint: Gain per RGB channel of everything that is lit.
        shadow: Gain of ground in cast shadow, 1 = no shadow (overcast).
        cast: Ground shift (x, z) in metres of the shadow's tip per metre of height.
        zenith: Sky colour above.
        haze: Sky colour at the horizon; far things fade to it.
        density: Haze per metre.
        clouds: Share of the sky under cloud, 0..1.
        lamps: Share of windows lit from inside, 0..1.
    """

    tint: Colour
    shadow: float
    cast: tuple[float, float]
    zenith: Colour
    haze: Colour
    density: float
    clouds: float
    lamps: float

    def seen(self, colour: Colour, z: float, gain: float = 1.0) -> Colour:
        """Return `colour` lit with `gain` and veiled by `z` metres of haze."""
        lit = tuple(channel * tint * gain for channel, tint in zip(colour, self.tint, strict=True))
        return mix((lit[0], lit[1], lit[2]), self.haze, 1 - math.exp(-self.density * z))

    def side_gain(self, x: float) -> float:
        """Return the brightness of a wall that faces along x (sign of `x` = where it looks)."""
        contrast = 1 - self.shadow
        return 1 - 0.55 * contrast + (0.5 * contrast if x * self.cast[0] < 0 else -0.25 * contrast)


class Canvas:
    """Colours and labels of a scene under construction; later shapes hide earlier ones."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.pixels = np.zeros((*size, 4), np.uint8)  # R, G, B, label

    def fill(self, label: int, colour: Colour, *outlines: np.ndarray | Sequence) -> None:
        """Fill polygons, each (N, 2) columns and rows; they must not overlap each other."""
        fixed = [_fixed(outline) for outline in outlines]
        cv2.fillPoly(self.pixels, fixed, (*colour, label), cv2.LINE_8, _SHIFT)

    def ellipse(
        self, label: int, colour: Colour, centre: tuple[float, float], axes: tuple[float, float]
    ) -> None:
        """Fill an upright ellipse with half axes `axes` (columns, rows), at least a pixel wide."""
        fixed_centre = round(centre[0] * 16), round(centre[1] * 16)
        fixed_axes = max(6, round(axes[0] * 16)), max(6, round(axes[1] * 16))
        cv2.ellipse(
            self.pixels,
            fixed_centre,
            fixed_axes,
            0,
            0,
            360,
            (*colour, label),
            cv2.FILLED,
            cv2.LINE_8,
            _SHIFT,
        )

    def strokes(self, label: int, colour: Colour, lines: Sequence | np.ndarray, width: float) -> None:
        """Draw open lines, each (N, 2), at least a pixel wide."""
        fixed = [_fixed(line) for line in lines]
        thickness = max(1, round(width))
        cv2.polylines(
            self.pixels, fixed, False, (*colour, label), thickness, cv2.LINE_8, _SHIFT
        )


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from `first` to `second`."""
    rest = 1 - share
    return (
        first[0] * rest + second[0] * share,
        first[1] * rest + second[1] * share,
        first[2] * rest + second[2] * share,
    )


def sample_view(rng: np.random.Generator, size: tuple[int, int]) -> View:
    """Draw a camera: height of the eye, horizon, direction of the street, angle of view."""
    height, width = size
    column = width * rng.uniform(0.3, 0.7)
    row = height * rng.uniform(0.36, 0.54)
    eye = rng.uniform(1.3, 2.4) if rng.random() < 0.8 else rng.uniform(2.4, 3.6)
    focal = 0.5 * (height + width) * rng.uniform(0.72, 1.05)
    return View(size, (column, row), focal, eye)


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a time of day and the weather: sunny, overcast or dusk, clear or foggy."""
    kind = rng.choice(3, p=(0.5, 0.3, 0.2))
    density = rng.uniform(0.015, 0.04) if rng.random() < 0.2 else rng.uniform(0.001, 0.008)
    side = rng.choice((-1.0, 1.0))
    if kind == 0:
        return _day(rng, side, density)
    return _overcast(rng, side, density) if kind == 1 else _dusk(rng, side, density)


def _day(rng: np.random.Generator, side: float, density: float) -> Light:
    zenith = mix((70, 125, 200), (120, 170, 225), rng.random())
    haze = mix((190, 210, 230), (225, 225, 220), rng.random())
    cast = (side * rng.uniform(0.4, 1.3), rng.uniform(-0.6, 0.6))
    tint = (1.0, 0.98, rng.uniform(0.88, 0.98))
    return Light(tint, rng.uniform(0.45, 0.65), cast, zenith, haze, density, rng.random(), 0.02)


def _overcast(rng: np.random.Generator, side: float, density: float) -> Light:
    grey = rng.uniform(165, 225)
    zenith = (grey * 0.95, grey * 0.98, grey)
    haze = (grey * 1.06, grey * 1.06, grey * 1.06)
    tint = (0.84, 0.87, 0.9)
    return Light(tint, 0.92, (side * 0.3, 0.1), zenith, haze, density * 1.3, 0.7, 0.08)


def _dusk(rng: np.random.Generator, side: float, density: float) -> Light:
    zenith = mix((60, 75, 125), (110, 110, 150), rng.random())
    haze = mix((240, 170, 110), (215, 160, 160), rng.random())
    cast = (side * rng.uniform(1.2, 2.4), rng.uniform(-0.8, 0.8))
    tint = (rng.uniform(0.78, 0.9), 0.66, rng.uniform(0.55, 0.66))
    return Light(tint, rng.uniform(0.5, 0.7), cast, zenith, haze, density, rng.random(), 0.45)


def _fixed(outline: np.ndarray | Sequence) -> np.ndarray:
    return np.rint(np.asarray(outline, np.float64) * (1 << _SHIFT)).astype(np.int32)
