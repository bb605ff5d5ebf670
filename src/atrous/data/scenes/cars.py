"""Cars: a side view in metres, pulled out to a width, turned, projected and lit face by face.

What can be known before a car is placed (its faces in its own coordinates, in the order of
painting) is made once per kind and kept; a car then costs one projection and one fill per face.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.canvas import CAR, CIRCLE, Canvas, Ink
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
_FINE = 6.0  # pixels per metre from which lights, plates and hubs are painted


@dataclass(frozen=True)
class _Face:
    """A face of a car: what it is made of and its outline (N, 3): ahead, up, right, in metres."""

    part: str
    fine: bool
    outline: np.ndarray


def paint_car(canvas: Canvas, x: float, z: float, yaw: float, rng: np.random.Generator) -> None:
    """Paint a car of a drawn kind and colour.

    Args:
        canvas: Where to paint it.
        x: Its centre, metres to the right.
        z: Its centre, metres ahead.
        yaw: Where its nose points, radians from straight ahead, positive to the right.
        rng: Draws kind and colour.
    """
    sine, cosine = math.sin(yaw), math.cos(yaw)
    side = -1 if x * cosine - z * sine > 0 else 1
    fine = canvas.view.scale(z) > _FINE
    faces = _faces(int(rng.integers(len(_PROFILES))), cosine > 0, abs(cosine) > 0.5, side, fine)
    points = np.concatenate([face.outline for face in faces])
    world_x = x + points[:, 0] * sine + points[:, 2] * cosine
    world_z = z + points[:, 0] * cosine - points[:, 2] * sine
    pixels = canvas.view.project(world_x, points[:, 1], world_z)
    inks = _inks(canvas, car_paint(rng), z, (side * cosine, -side * sine), cosine > 0, rng)
    start = 0
    for face in faces:
        end = start + len(face.outline)
        canvas.fill(inks[face.part], pixels[start:end])
        start = end


def _inks(
    canvas: Canvas,
    paint: Colour,
    z: float,
    flank: tuple[float, float],
    rear: bool,
    rng: np.random.Generator,
) -> dict[str, Ink]:
    """Return the ink of every part; `flank` is the side's normal."""
    light = canvas.light
    glass = mix((30, 36, 44), light.zenith, rng.uniform(0.05, 0.45))
    return {
        "top": canvas.ink(CAR, paint, z, 1.16 if light.shadow < 0.8 else 1.04),
        "end": canvas.ink(CAR, paint, z, light.gain(0, -1)),
        "flank": canvas.ink(CAR, paint, z, light.gain(*flank)),
        "glass": canvas.ink(CAR, glass, z),
        "tyre": canvas.ink(CAR, (24, 24, 26), z),
        "hub": canvas.ink(CAR, (118, 118, 120), z),
        "lamp": canvas.ink(CAR, (186, 26, 24) if rear else (240, 236, 220), z),
        "plate": canvas.ink(CAR, (205, 205, 200), z),
    }


@functools.lru_cache(maxsize=64)
def _faces(kind: int, rear: bool, along: bool, side: int, fine: bool) -> tuple[_Face, ...]:
    """Return the faces of a car that the camera may see, in the order of painting.

    Args:
        kind: Which profile.
        rear: Whether its rear is towards the camera, else its nose.
        along: Whether it stands along the street, so that its end shows.
        side: Which flank shows, -1 the left, 1 the right.
        fine: Whether it is near enough for small parts.
    """
    profile = _PROFILES[kind]
    faces = [*_tyres(profile, rear), *_shell(profile, rear)]
    faces += _end(profile, rear) if along else []
    faces += _flank(profile, side * _HALF)
    middle = np.array((profile[-1, 0] / 2, 0, 0))
    return tuple(
        _Face(face.part, face.fine, face.outline - middle)
        for face in faces
        if fine or not face.fine
    )


def _band(part: str, piece: np.ndarray, left: float, right: float, fine: bool = False) -> _Face:
    """Return the strip that a piece (2, 2) of the profile sweeps from one offset to another."""
    offsets = np.array(((left,), (left,), (right,), (right,)))
    return _Face(part, fine, np.hstack([np.concatenate([piece, piece[::-1]]), offsets]))


def _tyres(profile: np.ndarray, rear: bool) -> list[_Face]:
    """Return the tyres as they show below the bumper that faces the camera."""
    at = 0.6 if rear else profile[-1, 0] - 0.6
    upright = np.array(((at, 0.0), (at, 0.5)))
    return [_band("tyre", upright, -_HALF, -0.62), _band("tyre", upright, 0.62, _HALF)]


def _shell(profile: np.ndarray, rear: bool) -> list[_Face]:
    """Return bumpers, bonnet, roof and screens, the far end first."""
    faces = []
    order = range(len(profile) - 1)
    for index in reversed(order) if rear else order:
        piece = profile[index : index + 2]
        run, rise = np.abs(piece[1] - piece[0])
        faces.append(_band("top" if run > rise else "end", piece, -_HALF, _HALF))
        if rise > 0.3 and piece[:, 1].min() > 0.85:
            faces.append(_band("glass", piece + 0.12 * (piece[::-1] - piece), -0.76, 0.76))
    return faces


def _end(profile: np.ndarray, rear: bool) -> list[_Face]:
    """Return lights, number plate and bumper of the end that faces the camera."""
    at = 0.0 if rear else profile[-1, 0]

    def patch(part: str, low: float, high: float, left: float, right: float) -> _Face:
        return _band(part, np.array(((at, low), (at, high))), left, right, fine=True)

    return [
        patch("lamp", 0.64, 0.84, -0.82, -0.5),
        patch("lamp", 0.64, 0.84, 0.5, 0.82),
        patch("plate", 0.48, 0.6, -0.26, 0.26),
        patch("tyre", 0.3, 0.42, -0.88, 0.88),
    ]


def _flank(profile: np.ndarray, offset: float) -> list[_Face]:
    """Return one side: sheet metal, two windows with a post between, wheels with hubs."""

    def flat(part: str, outline: np.ndarray, fine: bool = False) -> _Face:
        return _Face(part, fine, np.insert(outline, 2, offset, axis=1))

    cabin = profile[profile[:, 1] > 0.93]
    middle = cabin.mean(axis=0)
    roof = profile[:, 1].max() - 0.08
    left, right = middle[0] - 0.06, middle[0] + 0.06
    post = np.array(((left, 0.96), (left, roof), (right, roof), (right, 0.96)))
    faces = [
        flat("flank", profile),
        flat("glass", middle + (cabin - middle) * (0.84, 0.7)),
        flat("flank", post, fine=True),
    ]
    for axle in (0.8, profile[-1, 0] - 0.85):
        faces.append(flat("tyre", CIRCLE * 0.34 + (axle, 0.34)))
        faces.append(flat("hub", CIRCLE * 0.17 + (axle, 0.34), fine=True))
    return faces
