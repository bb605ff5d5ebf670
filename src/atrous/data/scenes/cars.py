"""Cars: a profile in metres, pulled out to a width, turned, projected and lit face by face."""

import math
from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.canvas import CAR, CIRCLE, Canvas
from atrous.data.scenes.paints import Colour, car_paint, mix

__all__ = ["paint_car"]

# (metres from the rear, metres above the ground), from the rear bumper over the roof to the nose
_SALOON = (
    *((0, 0.3), (0, 0.9), (0.7, 0.98), (1.4, 1.43)),
    *((2.6, 1.46), (3.3, 0.98), (4.4, 0.8), (4.5, 0.3)),
)
_HATCHBACK = ((0, 0.3), (0, 0.95), (0.4, 1.48), (2.2, 1.52), (2.9, 1), (3.8, 0.85), (3.9, 0.3))
_VAN = ((0, 0.3), (0, 1.05), (0.1, 2.1), (3.5, 2.15), (4.3, 1.2), (5, 0.95), (5.1, 0.3))
_ESTATE = ((0, 0.3), (0, 0.95), (0.3, 1.56), (2.9, 1.62), (3.6, 1.04), (4.6, 0.88), (4.7, 0.3))
_PROFILES = tuple(np.array(profile) for profile in (_SALOON, _HATCHBACK, _VAN, _ESTATE))

_HALF = 0.9  # half a car's width in metres


@dataclass(frozen=True)
class _Car:
    """A car on the canvas.

    Attributes:
        canvas: Where to paint it.
        x: Its centre, metres to the right.
        z: Its centre, metres ahead.
        yaw: Where its nose points, radians from straight ahead, positive to the right.
        profile: Its side view (N, 2), metres from the rear and above the ground.
        paint: Its colour.
    """

    canvas: Canvas
    x: float
    z: float
    yaw: float
    profile: np.ndarray
    paint: Colour

    @property
    def length(self) -> float:
        """Return the length in metres."""
        return float(self.profile[-1, 0])

    def place(self, points: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
        """Return the pixels of points (N, 2) of the side view, `offset` m right of the axis."""
        ahead = points[:, 0] - self.length / 2
        sine, cosine = math.sin(self.yaw), math.cos(self.yaw)
        x = self.x + ahead * sine + offset * cosine
        z = self.z + ahead * cosine - offset * sine
        return self.canvas.view.project(x, points[:, 1], z)

    def fill(self, colour: Colour, points: np.ndarray, gain: float = 1.0) -> None:
        """Fill an outline of pixels with a colour under this car's light."""
        self.canvas.fill(CAR, self.canvas.light.seen(colour, self.z, gain), points)

    def band(
        self, colour: Colour, piece: np.ndarray, sides: tuple[float, float], gain: float = 1.0
    ) -> None:
        """Fill the strip that a piece (2, 2) of the profile sweeps from one offset to another."""
        corners = np.concatenate([piece, piece[::-1]])
        offsets = np.array((sides[0], sides[0], sides[1], sides[1]))
        self.fill(colour, self.place(corners, offsets), gain)


def paint_car(canvas: Canvas, x: float, z: float, yaw: float, rng: np.random.Generator) -> None:
    """Paint a car of a drawn kind and colour, centre at x, z, nose at `yaw` radians."""
    profile = _PROFILES[rng.integers(len(_PROFILES))]
    car = _Car(canvas, x, z, yaw, profile, car_paint(rng))
    glass = mix((30, 36, 44), canvas.light.zenith, rng.uniform(0.05, 0.45))
    fine = canvas.view.scale(z) > 6
    _paint_tyres(car)
    _paint_shell(car, glass)
    if fine and abs(math.cos(yaw)) > 0.5:
        _paint_end(car)
    _paint_side(car, glass, fine)


def _paint_tyres(car: _Car) -> None:
    """Paint the tyres as they show below the bumper that faces the camera."""
    at = 0.6 if math.cos(car.yaw) > 0 else car.length - 0.6
    upright = np.array(((at, 0.0), (at, 0.5)))
    car.band((24, 24, 26), upright, (-_HALF, -0.62))
    car.band((24, 24, 26), upright, (0.62, _HALF))


def _paint_shell(car: _Car, glass: Colour) -> None:
    """Paint bumpers, bonnet, roof and screens, the far end first."""
    pieces = [car.profile[index : index + 2] for index in range(len(car.profile) - 1)]
    if math.cos(car.yaw) > 0:
        pieces.reverse()
    bright = 1.16 if car.canvas.light.shadow < 0.8 else 1.04
    facing = car.canvas.light.gain(0, -1)
    for piece in pieces:
        run, rise = np.abs(piece[1] - piece[0])
        car.band(car.paint, piece, (-_HALF, _HALF), bright if run > rise else facing)
        if rise > 0.3 and piece[:, 1].min() > 0.85:
            car.band(glass, piece + 0.12 * (piece[::-1] - piece), (-0.76, 0.76))


def _paint_end(car: _Car) -> None:
    """Paint lights, number plate and bumper of the end that faces the camera."""
    rear = math.cos(car.yaw) > 0
    at = 0.0 if rear else car.length
    lamp: Colour = (186, 26, 24) if rear else (240, 236, 220)
    for sides in ((-0.82, -0.5), (0.5, 0.82)):
        car.band(lamp, np.array(((at, 0.64), (at, 0.84))), sides)
    car.band((205, 205, 200), np.array(((at, 0.48), (at, 0.6))), (-0.26, 0.26))
    car.band((40, 40, 42), np.array(((at, 0.3), (at, 0.42))), (-0.88, 0.88))


def _paint_side(car: _Car, glass: Colour, fine: bool) -> None:
    """Paint the flank that faces the camera: door line, windows, wheels."""
    right = math.cos(car.yaw), -math.sin(car.yaw)
    side = -1.0 if car.x * right[0] + car.z * right[1] > 0 else 1.0
    offset = side * _HALF
    gain = car.canvas.light.gain(side * right[0], side * right[1])
    car.fill(car.paint, car.place(car.profile, offset), gain)
    cabin = car.profile[car.profile[:, 1] > 0.93]
    middle = cabin.mean(axis=0)
    car.fill(glass, car.place(middle + (cabin - middle) * (0.84, 0.7), offset))
    for axle in (0.8, car.length - 0.85):
        car.fill((24, 24, 26), car.place(CIRCLE * 0.34 + (axle, 0.34), offset))
        if fine:
            car.fill((128, 128, 130), car.place(CIRCLE * 0.17 + (axle, 0.34), offset), 0.9)
    if fine:
        post = np.array(((middle[0], 0.98), (middle[0], car.profile[:, 1].max() - 0.1)))
        width = 0.09 * car.canvas.view.scale(car.z)
        shade = car.canvas.light.seen(car.paint, car.z, gain)
        car.canvas.strokes(CAR, shade, car.place(post, offset), width)
