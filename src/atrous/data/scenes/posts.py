"""Poles and traffic signs: lamps, telegraph poles, bollards; plates of six kinds on a post."""

import math

import numpy as np

from atrous.data.scenes.canvas import CIRCLE, POLE, SIGN, Canvas
from atrous.data.scenes.paints import Colour, metal, mix

__all__ = ["paint_pole", "paint_sign"]

_OCTAGON = np.stack([np.cos(a := np.pi / 8 + np.arange(8) * np.pi / 4), np.sin(a)], -1) * 1.05
_DIAMOND = np.array(((0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0)))
_TRIANGLE = np.array(((0, -1.1), (1.1, 0.85), (-1.1, 0.85)))
_PLATES: tuple[tuple[np.ndarray, Colour, Colour], ...] = (  # outline, rim, face
    (CIRCLE, (186, 30, 34), (232, 230, 224)),
    (CIRCLE, (232, 232, 230), (34, 84, 164)),
    (_TRIANGLE, (186, 32, 34), (232, 230, 222)),
    (_DIAMOND, (234, 232, 226), (232, 184, 40)),
    (_OCTAGON, (232, 230, 226), (180, 30, 34)),
)
_BOARDS: tuple[Colour, ...] = ((30, 80, 150), (28, 110, 70), (225, 222, 214), (226, 186, 50))
_BAR = np.array(((-0.42, -0.13), (0.42, -0.13), (0.42, 0.13), (-0.42, 0.13)))
_BOX = np.array(((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)))
_CROSSBARS = np.array((((-0.8, 0.3), (0.8, 0.3)), ((-0.8, 0.8), (0.8, 0.8))))


def paint_pole(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a street lamp (its arm over the road), a lantern, a telegraph pole or a bollard."""
    kind, scale = rng.random(), canvas.view.scale(z)
    foot = np.array(canvas.view.foot(x, z))
    steel = metal(rng)
    ink = canvas.ink(POLE, steel, z)
    tall = rng.uniform(4.5, 7.5) if kind < 0.9 else rng.uniform(0.9, 1.2)
    top, wide = foot - (0, tall * scale), rng.uniform(0.17, 0.25) * scale
    _paint_post(canvas, (foot, top), steel, z, wide)
    if kind < 0.6:
        reach = -math.copysign(rng.uniform(0.7, 1.4), x)
        arm = top + np.array(((0.0, 0.0), (reach, -0.25))) * scale
        canvas.strokes(ink, arm, 0.8 * wide)
        glass = canvas.ink(POLE, (190, 190, 180), z)
        canvas.ellipse(glass, arm[1] + (0, 0.05 * scale), (0.4 * scale, 0.2 * scale))
    elif kind < 0.78:
        globe = canvas.ink(POLE, (215, 212, 200), z)
        canvas.ellipse(globe, top, (0.34 * scale, 0.34 * scale))
    elif kind < 0.9:
        canvas.strokes(ink, top + _CROSSBARS * scale, 0.7 * wide)


def paint_sign(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a post, which is a pole, and the plate on it, which is the sign."""
    scale = canvas.view.scale(z)
    half = rng.uniform(0.64, 0.8) * scale
    foot = np.array(canvas.view.foot(x, z))
    centre = foot - (0, rng.uniform(2.3, 3.0) * scale)
    _paint_post(canvas, (foot, centre - (0, half)), metal(rng), z, 0.16 * scale)
    kind = rng.integers(len(_PLATES) + 1)
    if kind == len(_PLATES):
        _paint_board(canvas, centre, half, z, rng)
        return
    outline, rim, face = _PLATES[kind]
    canvas.fill(canvas.ink(SIGN, rim, z, 0.95), centre + outline * half)
    canvas.fill(canvas.ink(SIGN, face, z, 0.95), centre + outline * half * 0.74)
    if half > 4:
        mark = canvas.ink(SIGN, mix(face, _lettering(face), 0.85), z)
        canvas.fill(mark, centre + (_BAR if rng.random() < 0.5 else _BAR[:, ::-1]) * half)


def _paint_post(
    canvas: Canvas, ends: tuple[np.ndarray, np.ndarray], paint: Colour, z: float, wide: float
) -> None:
    """Paint a round post: dark at its edges, bright along the side that faces the sun."""
    canvas.strokes(canvas.ink(POLE, paint, z, 0.66), np.array(ends), wide)
    shift = np.array((0.14 * wide * canvas.light.sun, 0.0))
    canvas.strokes(canvas.ink(POLE, paint, z, 1.08), np.array(ends) + shift, 0.45 * wide)


def _paint_board(
    canvas: Canvas, centre: np.ndarray, half: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a direction board with lines of lettering."""
    face = _BOARDS[rng.integers(len(_BOARDS))]
    letters = canvas.ink(SIGN, _lettering(face), z)
    extent = np.array((rng.uniform(1.2, 1.8), rng.uniform(0.7, 1.1))) * half
    canvas.fill(letters, centre + _BOX * extent)
    rim = min(1.5, 0.1 * half)
    canvas.fill(canvas.ink(SIGN, face, z), centre + _BOX * (extent - rim))
    if half > 4:
        ends = rng.uniform(0.1, 0.7, 3)
        lines = [((-0.7, y), (x, y)) for x, y in zip(ends, (-0.45, 0, 0.45), strict=True)]
        canvas.strokes(letters, centre + np.array(lines) * extent, 0.16 * extent[1])


def _lettering(face: Colour) -> Colour:
    """Return dark letters for a light face and the reverse."""
    return (26, 26, 28) if sum(face) > 360 else (238, 238, 234)
