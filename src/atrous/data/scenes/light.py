"""Time of day and weather of a made scene: sunny, overcast or dusk, clear or foggy."""

import math
from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.paints import Colour, mix

__all__ = ["Light", "sample_light"]


@dataclass(frozen=True)
class Light:
    """Sun, sky and haze.

    Attributes:
        tint: Gain per RGB channel of everything that is lit.
        shadow: Gain of ground in cast shadow; near 1 under an overcast sky.
        cast: Ground shift (x, z) in metres of a shadow's tip per metre of height.
        zenith: Sky colour above.
        haze: Sky colour at the horizon; far things fade to it.
        density: Haze per metre.
        clouds: How much of the sky is under cloud, 0..1.
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

    @property
    def sun(self) -> float:
        """Say where the sun stands: -1 on the left, 1 on the right."""
        return -math.copysign(1.0, self.cast[0])

    def veil(self, z: float) -> float:
        """Return which share of a thing's colour `z` metres of haze have taken."""
        return 1 - math.exp(-self.density * z)

    def seen(self, colour: Colour, veil: float, gain: float = 1.0) -> Colour:
        """Return `colour` lit with `gain` and faded into the haze by `veil`."""
        gain *= 1 - veil
        return (
            colour[0] * self.tint[0] * gain + self.haze[0] * veil,
            colour[1] * self.tint[1] * gain + self.haze[1] * veil,
            colour[2] * self.tint[2] * gain + self.haze[2] * veil,
        )

    def gain(self, x: float, z: float) -> float:
        """Return the brightness of a wall whose outward normal on the ground is (x, z)."""
        toward = -(x * self.cast[0] + z * self.cast[1]) / math.hypot(*self.cast)
        return 1 - (1 - self.shadow) * (0.6 - 0.6 * toward)


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a time of day and the weather."""
    density = rng.uniform(0.005, 0.01) if rng.random() < 0.15 else rng.uniform(0.001, 0.005)
    side = 1.0 if rng.random() < 0.5 else -1.0
    kind = rng.random()
    if kind < 0.5:
        return _day(rng, side, density)
    return _overcast(rng, side, density) if kind < 0.78 else _dusk(rng, side, density)


def _day(rng: np.random.Generator, side: float, density: float) -> Light:
    zenith = mix((70, 125, 200), (120, 170, 225), rng.random())
    haze = mix((190, 210, 230), (225, 225, 220), rng.random())
    cast = (side * rng.uniform(0.4, 1.3), rng.uniform(-0.6, 0.6))
    tint = (1.0, 0.98, rng.uniform(0.88, 0.98))
    return Light(tint, rng.uniform(0.55, 0.72), cast, zenith, haze, density, rng.random(), 0.02)


def _overcast(rng: np.random.Generator, side: float, density: float) -> Light:
    grey = rng.uniform(160, 225)
    zenith = (grey * 0.93, grey * 0.97, grey)
    haze = (grey * 1.06, grey * 1.06, grey * 1.06)
    cast = (side * 0.3, 0.1)
    return Light((0.86, 0.89, 0.92), 0.9, cast, zenith, haze, density, 0.75, 0.06)


def _dusk(rng: np.random.Generator, side: float, density: float) -> Light:
    zenith = mix((66, 84, 140), (118, 118, 160), rng.random())
    haze = mix((246, 178, 118), (222, 168, 166), rng.random())
    cast = (side * rng.uniform(1.2, 2.2), rng.uniform(-0.8, 0.8))
    tint = (rng.uniform(0.9, 1.0), 0.81, rng.uniform(0.68, 0.78))
    return Light(tint, rng.uniform(0.64, 0.78), cast, zenith, haze, density, rng.random(), 0.45)
