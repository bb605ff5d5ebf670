"""Persons: limbs, clothes and a head, in body heights above the foot point."""

import numpy as np

from atrous.data.scenes.canvas import PERSON, Canvas
from atrous.data.scenes.paints import any_paint, mix, skin

__all__ = ["paint_person"]


def paint_person(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a grown-up or a child who stands or walks at x, z."""
    tall = rng.uniform(1.55, 1.9) if rng.random() < 0.88 else rng.uniform(1.0, 1.4)
    unit = tall * canvas.view.scale(z)  # pixels of the whole body
    foot = np.array(canvas.view.foot(x, z))
    light = canvas.light
    cloth, trousers = any_paint(rng), mix(any_paint(rng), (45, 48, 60), 0.6)
    top = light.seen(cloth, z)
    _paint_legs(canvas, foot, unit, light.seen(trousers, z), rng)
    _paint_arms(canvas, foot, unit, light.seen(cloth, z, 0.8), rng)
    hem = 0.44 if rng.random() < 0.7 else 0.28
    half = np.array(((-0.1, hem), (-0.125, 0.8), (-0.05, 0.84), (0.0, 0.84), (0.0, hem)))
    half = half * (1, -1) * unit
    canvas.fill(PERSON, light.seen(cloth, z, light.gain(-1, 0)), foot + half)
    canvas.fill(PERSON, light.seen(cloth, z, light.gain(1, 0)), foot + half * (-1, 1))
    if rng.random() < 0.25:
        bag = np.array(((-0.075, 0.56), (-0.075, 0.79), (0.075, 0.79), (0.075, 0.56)))
        bag = bag * (1, -1) * unit
        canvas.fill(PERSON, light.seen(any_paint(rng), z, 0.8), foot + bag)
    hair = light.seen(mix((24, 18, 15), (150, 110, 60), rng.random() ** 2), z)
    turn = rng.uniform(-0.012, 0.012)
    canvas.ellipse(PERSON, hair, foot - (0, 0.93 * unit), (0.062 * unit, 0.075 * unit))
    face = foot + np.array((turn, -0.905)) * unit
    canvas.ellipse(PERSON, light.seen(skin(rng), z), face, (0.05 * unit, 0.06 * unit))
    canvas.fill(PERSON, top, foot + np.array(((-0.05, -0.84), (0.05, -0.84), (0, -0.8))) * unit)


def _paint_legs(canvas, foot, unit, colour, rng) -> None:
    stride = rng.uniform(-0.14, 0.14)
    legs = np.array(
        (
            ((-0.045, 0.49), (-0.04 + stride * 0.6, 0.26), (-0.035 + stride, 0.02)),
            ((0.045, 0.49), (0.04 - stride * 0.6, 0.26), (0.035 - stride, 0.02)),
        )
    )
    canvas.strokes(PERSON, colour, foot + legs * (1, -1) * unit, 0.09 * unit)


def _paint_arms(canvas, foot, unit, colour, rng) -> None:
    swing = rng.uniform(-0.1, 0.1)
    arms = np.array(
        (
            ((-0.115, 0.79), (-0.15, 0.62), (-0.14 - swing, 0.47)),
            ((0.115, 0.79), (0.15, 0.62), (0.14 + swing, 0.47)),
        )
    )
    canvas.strokes(PERSON, colour, foot + arms * (1, -1) * unit, 0.06 * unit)
