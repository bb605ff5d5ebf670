"""The colours of a made street; they overlap between classes, so that colour tells no class."""

import numpy as np

__all__ = [
    "Colour",
    "any_paint",
    "asphalt",
    "bright_paint",
    "car_paint",
    "leaf",
    "metal",
    "mix",
    "paving",
    "skin",
    "wall",
]

Colour = tuple[float, float, float]
"""Red, green and blue, 0..255."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from `first` to `second`."""
    rest = 1 - share
    return (
        first[0] * rest + second[0] * share,
        first[1] * rest + second[1] * share,
        first[2] * rest + second[2] * share,
    )


def any_paint(rng: np.random.Generator) -> Colour:
    """Return any paint or cloth: red, blue, yellow, green, white, black, grey."""
    red, green, blue = rng.uniform(22, 232, 3).tolist()
    grey = (red + green + blue) / 3
    return mix((red, green, blue), (grey, grey, grey), rng.uniform(0, 0.8))


def bright_paint(rng: np.random.Generator) -> Colour:
    """Return a cloth of a clear hue, as coats mostly have."""
    hues = rng.permutation((rng.uniform(150, 235), rng.uniform(40, 190), rng.uniform(25, 75)))
    red, green, blue = hues.tolist()
    grey = (red + green + blue) / 3
    return mix((red, green, blue), (grey, grey, grey), rng.uniform(0, 0.45))


def wall(rng: np.random.Generator) -> Colour:
    """Return a house wall: brick, concrete, render or paint."""
    kind = rng.random()
    if kind < 0.35:
        return mix((120, 60, 48), (176, 104, 80), rng.random())
    if kind < 0.45:
        grey = rng.uniform(90, 190)
        return (grey, grey * rng.uniform(0.96, 1.0), grey * rng.uniform(0.9, 1.03))
    if kind < 0.85:
        return mix((205, 185, 145), (226, 216, 200), rng.random())
    return mix(any_paint(rng), (170, 165, 160), 0.6)


def leaf(rng: np.random.Generator) -> Colour:
    """Return leaves: mostly green, some in autumn, some brown."""
    kind = rng.random()
    if kind < 0.84:
        return mix((44, 76, 34), (104, 128, 56), rng.random())
    if kind < 0.97:
        return mix((150, 90, 36), (176, 140, 52), rng.random())
    return mix((92, 72, 56), (128, 112, 96), rng.random())


def asphalt(rng: np.random.Generator) -> Colour:
    """Return a road surface, dark to light grey."""
    grey = rng.uniform(66, 116)
    return (grey * rng.uniform(0.95, 1.02), grey, grey * rng.uniform(1.0, 1.08))


def paving(rng: np.random.Generator) -> Colour:
    """Return a pavement, grey to sandy."""
    grey = rng.uniform(112, 182)
    return (grey * rng.uniform(1.04, 1.16), grey, grey * rng.uniform(0.82, 0.96))


def car_paint(rng: np.random.Generator) -> Colour:
    """Return a car's paint: two in three are white, grey or black."""
    if rng.random() < 0.35:
        return any_paint(rng)
    grey = rng.uniform(28, 225)
    return (grey, grey, grey * rng.uniform(0.97, 1.06))


def metal(rng: np.random.Generator) -> Colour:
    """Return a pole: grey or dark steel, now and then wood or paint."""
    kind = rng.random()
    if kind < 0.75:
        grey = rng.uniform(120, 205)
        return (grey, grey, grey * rng.uniform(0.95, 1.06))
    return (104.0, 82.0, 62.0) if kind < 0.82 else mix(any_paint(rng), (60, 70, 64), 0.5)


def skin(rng: np.random.Generator) -> Colour:
    """Return a tone of skin."""
    return mix((86, 56, 42), (226, 184, 156), rng.random())
