"""Persons: limbs, clothes and a head, in body heights right of and above the foot point."""

from collections.abc import Sequence

import numpy as np

from atrous.data.scenes.canvas import PERSON, Canvas
from atrous.data.scenes.paints import Colour, any_paint, bright_paint, mix, skin

__all__ = ["paint_person"]

Points = Sequence[tuple[float, float]] | Sequence[Sequence[tuple[float, float]]]


def paint_person(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a grown-up or a child who stands or walks at x, z."""
    tall = rng.uniform(1.65, 1.95) if rng.random() < 0.93 else rng.uniform(1.2, 1.45)
    body = _Body(canvas, x, z, tall)
    cloth, trousers = bright_paint(rng), mix(any_paint(rng), (45, 48, 78), 0.6)
    hair = mix((24, 18, 15), (150, 110, 60), rng.random() ** 2)
    body.legs(trousers, rng.uniform(-0.08, 0.08))
    body.arms(mix(cloth, (0, 0, 0), 0.2), rng.uniform(-0.04, 0.06))
    body.coat(cloth, 0.44 if rng.random() < 0.7 else 0.28)
    if rng.random() < 0.25:
        body.bag(mix(any_paint(rng), (0, 0, 0), 0.2))
    body.head(hair, skin(rng), rng.uniform(-0.012, 0.012))


class _Body:
    """A person on the canvas; every part takes its colour and what may vary."""

    def __init__(self, canvas: Canvas, x: float, z: float, tall: float) -> None:
        self.canvas = canvas
        self.z = z
        self.unit = tall * canvas.view.scale(z)  # pixels of the whole body
        self.foot = np.array(canvas.view.foot(x, z))

    def pixels(self, points: Points) -> np.ndarray:
        """Return columns and rows of points (..., 2) in body heights, the second one upwards."""
        return self.foot + np.array(points) * (self.unit, -self.unit)

    def legs(self, colour: Colour, stride: float) -> None:
        """Paint both legs, `stride` apart."""
        left = (-0.06, 0.49), (-0.055 + stride * 0.6, 0.26), (-0.035 + stride, 0.02)
        right = (0.06, 0.49), (0.055 - stride * 0.6, 0.26), (0.035 - stride, 0.02)
        ink = self.canvas.ink(PERSON, colour, self.z)
        self.canvas.strokes(ink, self.pixels((left, right)), 0.14 * self.unit)

    def arms(self, colour: Colour, swing: float) -> None:
        """Paint both arms, their hands `swing` away from the body."""
        left = (-0.14, 0.79), (-0.175, 0.62), (-0.165 - swing, 0.47)
        right = (0.14, 0.79), (0.175, 0.62), (0.165 + swing, 0.47)
        ink = self.canvas.ink(PERSON, colour, self.z)
        self.canvas.strokes(ink, self.pixels((left, right)), 0.08 * self.unit)

    def coat(self, colour: Colour, hem: float) -> None:
        """Paint the trunk down to `hem`: a half that faces the sun and one that does not."""
        for side in (-1, 1):
            outline = (0.15, hem), (0.17, 0.8), (0.06, 0.84), (0.0, 0.84), (0.0, hem)
            half = self.pixels([(side * right, up) for right, up in outline])
            gain = self.canvas.light.gain(side, 0)
            self.canvas.fill(self.canvas.ink(PERSON, colour, self.z, gain), half)

    def bag(self, colour: Colour) -> None:
        """Paint a bag on the back."""
        outline = (-0.075, 0.56), (-0.075, 0.79), (0.075, 0.79), (0.075, 0.56)
        self.canvas.fill(self.canvas.ink(PERSON, colour, self.z), self.pixels(outline))

    def head(self, hair: Colour, face: Colour, turn: float) -> None:
        """Paint hair and a face that looks a little aside."""
        ink = self.canvas.ink(PERSON, hair, self.z)
        axes = 0.08 * self.unit, 0.085 * self.unit
        self.canvas.ellipse(ink, self.pixels([(0.0, 0.93)])[0], axes)
        ink = self.canvas.ink(PERSON, face, self.z)
        axes = 0.062 * self.unit, 0.066 * self.unit
        self.canvas.ellipse(ink, self.pixels([(turn, 0.905)])[0], axes)
