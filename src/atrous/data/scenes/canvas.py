"""The camera and the canvas: one drawing call paints colour and label of the same pixels.

World coordinates are metres: x to the right, y up from the ground, z away from the camera, which
stands at x = z = 0 and looks along z. The canvas holds red, green, blue and label in one array of
four channels and nothing is smoothed at its edges, so a mask is exact to the pixel by construction.
The label takes the low four bits of its channel; the high four say how thick the haze before it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from atrous.data.scenes.light import Light
from atrous.data.scenes.paints import Colour, mix

__all__ = [
    "BUILDING",
    "CAR",
    "CIRCLE",
    "NEAR",
    "PAVEMENT",
    "PERSON",
    "POLE",
    "ROAD",
    "SIGN",
    "SKY",
    "TREE",
    "Canvas",
    "Ink",
    "View",
    "fixed",
    "sample_view",
]

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(9)

NEAR = 0.8
"""Nothing closer to the camera than this many metres is projected."""

Ink = tuple[float, float, float, int]
"""What a shape leaves on each of its pixels: red, green, blue, label and haze."""

_ANGLES = np.arange(16) * (np.pi / 8)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
"""A round outline (16, 2) of radius 1."""

_SHIFT = 4  # outlines carry 4 fractional bits


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

    def project(
        self, x: np.ndarray | float, y: np.ndarray | float, z: np.ndarray | float
    ) -> np.ndarray:
        """Return columns and rows (..., 2) of points x, y, z, which broadcast together."""
        scale = self.focal / np.maximum(z, NEAR)
        columns = self.vanishing[0] + x * scale
        rows = self.vanishing[1] + (self.eye - y) * scale
        points = np.empty((*np.shape(columns + rows), 2))
        points[..., 0], points[..., 1] = columns, rows
        return points

    def foot(self, x: float, z: float) -> tuple[float, float]:
        """Return column and row of the ground point x, z."""
        scale = self.scale(z)
        return self.vanishing[0] + x * scale, self.vanishing[1] + self.eye * scale

    def entry(self, x: float) -> float:
        """Return the distance from which on the ground point at `x` is in the image."""
        height, width = self.size
        side = width - self.vanishing[0] if x > 0 else self.vanishing[0]
        below = height - self.vanishing[1]
        return max(NEAR, self.focal * abs(x) / side, self.focal * self.eye / below)


def sample_view(rng: np.random.Generator, size: tuple[int, int]) -> View:
    """Draw height of the eye, horizon, direction of the street and angle of view."""
    height, width = size
    vanishing = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.36, 0.52)
    eye = rng.uniform(1.5, 2.6) if rng.random() < 0.8 else rng.uniform(2.6, 3.6)
    return View(size, vanishing, 0.5 * (height + width) * rng.uniform(0.62, 0.85), eye)


class Canvas:
    """A scene under construction; later shapes hide earlier ones.

    Attributes:
        view: The camera.
        light: Sun, sky and haze.
        pixels: Red, green, blue, label and haze (H, W, 4) uint8.
    """

    def __init__(self, view: View, light: Light) -> None:
        self.view = view
        self.light = light
        self.pixels = np.zeros((*view.size, 4), np.uint8)

    def ink(self, label: int, colour: Colour, z: float, gain: float = 1.0) -> Ink:
        """Return the ink of a thing: its colour lit with `gain` and seen through `z` m of haze."""
        veil = self.light.veil(z)
        return (*self.light.seen(colour, veil, gain), label | int(16 * veil) << 4)

    def glow(self, label: int, colour: Colour, z: float) -> Ink:
        """Return the ink of a thing that shines by itself, as a lit window does."""
        return (*mix(colour, self.light.haze, self.light.veil(z)), label)

    def labels(self) -> np.ndarray:
        """Return the label of every pixel (H, W) uint8."""
        labels: np.ndarray = self.pixels[..., 3] & 15
        return labels

    def clearness(self) -> np.ndarray:
        """Return how little haze lies before every pixel (H, W) uint8, 16 = none."""
        clearness: np.ndarray = 16 - (self.pixels[..., 3] >> 4)
        return clearness

    def fill(self, ink: Ink, outlines: np.ndarray) -> None:
        """Fill one outline (N, 2) or several (M, N, 2) that do not overlap; columns and rows."""
        if outlines.size:
            cv2.fillPoly(self.pixels, fixed(outlines), ink, cv2.LINE_8, _SHIFT)

    def strokes(self, ink: Ink, lines: np.ndarray, width: float) -> None:
        """Draw one open line (N, 2) or several (M, N, 2), at least a pixel wide."""
        thickness = max(1, round(width))
        cv2.polylines(self.pixels, fixed(lines), False, ink, thickness, cv2.LINE_8, _SHIFT)

    def ellipse(self, ink: Ink, centre: Iterable[float], axes: tuple[float, float]) -> None:
        """Fill an upright ellipse with half axes `axes` (columns, rows), at least a pixel big."""
        column, row = (round(16 * value) for value in centre)
        half = max(8, round(16 * axes[0])), max(8, round(16 * axes[1]))
        cv2.ellipse(self.pixels, (column, row), half, 0, 0, 360, ink, -1, cv2.LINE_8, _SHIFT)


def fixed(outlines: np.ndarray) -> list[np.ndarray]:
    """Return outlines (N, 2) or (M, N, 2) as OpenCV draws them: int32 sixteenths of a pixel."""
    points = (outlines * (1 << _SHIFT)).astype(np.int32)
    return [points] if points.ndim == 2 else list(points)
