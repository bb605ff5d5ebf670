"""Random brightness, contrast, saturation and hue as one affine map of the colours.

Each of the four is linear in a pixel's colour, so together they are one C x (C + 1) matrix, applied
and clipped once. That is faster than a lookup table, which cannot mix channels, and it keeps what
an intermediate clip would lose: a bright sky that is brightened, then darkened.

Departures from torchvision's ColorJitter: the order is fixed (saturation, hue, brightness,
contrast), values are clipped once at the end, and hue turns about the grey axis of YIQ instead of
the hexagon of HSV, so that luma stays.
"""

import math

import cv2
import numpy as np

from atrous.data.warp import channel_groups, joined

__all__ = ["chroma_matrix", "colour_map", "random_colours", "recolour"]

LUMA = np.array([0.299, 0.587, 0.114])
"""Share of red, green and blue in the grey of ITU-R BT.601, as in JPEG and OpenCV."""

YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""RGB to luma and the two chroma axes of NTSC."""


def random_colours(
    rng: np.random.Generator,
    *,
    brightness: float = 0.3,
    contrast: float = 0.3,
    saturation: float = 0.3,
    hue: float = 0.0,
) -> tuple[float, float, float, float]:
    """Draw the strength of each change, always four numbers from `rng`.

    Args:
        rng: The only source of randomness.
        brightness: Values are multiplied by a factor uniform in 1 - brightness .. 1 + brightness.
        contrast: The same for the distance from the mean.
        saturation: The same for the distance from grey.
        hue: Largest turn of the colours either way, as a fraction of the full circle.

    Returns:
        Factors of brightness, contrast and saturation (at least 0), turn of hue in radians.
    """
    gain, spread, chroma = (
        rng.uniform(max(0.0, 1 - width), 1 + width) for width in (brightness, contrast, saturation)
    )
    return gain, spread, chroma, 2 * math.pi * rng.uniform(-hue, hue)


def recolour(image: np.ndarray, factors: tuple[float, float, float, float]) -> np.ndarray:
    """Change brightness, contrast, saturation and hue of an image.

    Saturation and hue need colour and are left alone unless the image has three channels. Contrast
    is about the mean grey of an RGB image, else about each channel's own mean.

    Args:
        image: (H, W, C) uint8 or uint16, RGB if C is 3; not changed.
        factors: What `random_colours` drew; (1, 1, 1, 0) changes nothing.

    Returns:
        (H, W, C) of the same type, rounded and clipped to its range; off by at most 1 from exact
        arithmetic, because OpenCV computes uint8 in fixed point.
    """
    if factors == (1.0, 1.0, 1.0, 0.0):
        return image.copy()
    gain, spread, chroma, turn = factors
    if image.shape[2] == 3:
        mix, grey = chroma_matrix(chroma, turn), LUMA @ cv2.mean(image)[:3]
        return colour_map(image, gain * spread * mix, gain * (1 - spread) * grey)
    planes = [
        colour_map(plane, np.array([[gain * spread]]), gain * (1 - spread) * cv2.mean(plane)[0])
        for plane in channel_groups(image)
    ]
    return joined(planes)


def chroma_matrix(chroma: float, turn: float) -> np.ndarray:
    """Return the (3, 3) matrix that scales and turns the chroma of RGB and keeps its luma."""
    cos, sin = chroma * math.cos(turn), chroma * math.sin(turn)
    matrix = np.linalg.inv(YIQ) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ YIQ
    return np.asarray(matrix, dtype=np.float64)


def colour_map(image: np.ndarray, mix: np.ndarray, offset: float) -> np.ndarray:
    """Return mix @ x + offset for each colour x, rounded and clipped to the image's type."""
    return cv2.transform(image, np.column_stack([mix, np.full(len(mix), offset)]))
