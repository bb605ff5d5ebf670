"""Random scale, rotation, flip and crop as one matrix, as DeepLab's protocol draws them.

Scale is uniform in `scale_range` (v3, Sec. 4.1: "randomly scaling the input images (from 0.5 to
2.0)"; their code draws evenly from 0.5, 0.75, ..., 2). Log-uniform would shrink half of the images
instead of a third, and what is shrunk below the crop is padded with void.
"""

import math

import numpy as np

__all__ = ["random_corner", "random_matrix"]


def random_matrix(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    crop_size: tuple[int, int],
    *,
    scale_range: tuple[float, float] = (0.5, 2.0),
    scale_step: float | None = None,
    rotation: float = 10.0,
    flip: float = 0.5,
    focus: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draw scale, rotation, flip and crop as one matrix; always five numbers from `rng`.

    The crop lies on whole pixels of the scaled image, so at scale 1 without rotation it is a slice.
    A crop larger than the scaled image contains all of it, at a random place.

    Args:
        rng: The only source of randomness.
        image_size: (height, width) of the image.
        crop_size: (height, width) of the result.
        scale_range: Smallest and largest zoom, drawn uniformly.
        scale_step: Distance between the zooms that are drawn from; None: all in the range.
        rotation: Largest angle either way in degrees, about the centre of the crop.
        flip: Probability of mirroring left to right.
        focus: A pixel (x, y) of the image: the crop is drawn from those that show it, before
            the rotation, which can turn what lies in a corner out of it.

    Returns:
        (2, 3) float64, from pixels of the result to pixels of the image, integers at the pixels'
        centres: `(x, y) = matrix @ (column, row, 1)`.
    """
    scale = rng.uniform(*scale_range)
    if scale_step is not None:
        scale = _stepped(scale, scale_range, scale_step)
    angle = math.radians(rng.uniform(-rotation, rotation))
    mirror = -1.0 if rng.random() < flip else 1.0
    centre_y, centre_x = (
        (random_corner(rng, round(length * scale), crop, seen) + crop / 2) / scale
        for length, crop, seen in zip(image_size, crop_size, _scaled(focus, scale), strict=True)
    )
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    turn = np.array([[mirror * cos, sin], [-mirror * sin, cos]])
    middle = np.array([crop_size[1], crop_size[0]]) / 2  # edges at 0 and w; centres at + 0.5
    shift_x, shift_y = np.array([centre_x, centre_y]) - 0.5 - turn @ (middle - 0.5)
    return np.array([[*turn[0], shift_x], [*turn[1], shift_y]])


def random_corner(rng: np.random.Generator, length: int, crop: int, seen: int | None = None) -> int:
    """Draw where the crop starts: inside the image, or around all of it if the crop is larger.

    Args:
        rng: Gives one number.
        length: Pixels of the image along this side.
        crop: Pixels of the crop.
        seen: A pixel of the image that the crop must hold.
    """
    low, high = min(0, length - crop), max(0, length - crop)
    if seen is not None:
        seen = min(seen, length - 1)
        low, high = max(low, seen - crop + 1), min(high, seen)
    return int(rng.integers(low, high, endpoint=True))


def _scaled(focus: tuple[int, int] | None, scale: float) -> tuple[int | None, int | None]:
    """Return the row and the column of the scaled image that a pixel (x, y) falls on."""
    if focus is None:
        return None, None
    x, y = focus
    return math.floor((y + 0.5) * scale), math.floor((x + 0.5) * scale)


def _stepped(scale: float, scale_range: tuple[float, float], step: float) -> float:
    """Turn an even draw from the range into an even draw from its low, low + step, ..., high."""
    low, high = scale_range
    count = math.floor((high - low) / step + 1e-6) + 1
    share = (scale - low) / (high - low) if high > low else 0.0
    return low + step * min(math.floor(share * count), count - 1)
