"""Warp an image and its labels by the same affine matrix: linear for one, nearest for the other.

A matrix maps the pixels of the result to those of the image, which is also what `grid_sample`
wants: `(x, y) = matrix @ (column, row, 1)`, integers at the pixels' centres. Where an elastic
deformation bends it, an array of the (x, y) of every pixel takes its place (`elastic.bent`).

Linear interpolation looks at 2 x 2 pixels, so it aliases where the image shrinks; a small Gaussian
before the warp prevents it. Against 64 samples a pixel on six CamVid images, without and with it:
28.2 and 46.0 dB at zoom 0.25, 33.8 and 45.2 at 0.5, 35.9 and 41.5 at 0.6, 37.7 and 39.1 at 0.7; it
fades out towards zoom 0.8 (39.4 dB). Averaging areas first (OpenCV's INTER_AREA, to 1.5 times the
zoom) reached 39 to 42 dB and took 1.2 to 2.2 ms for 480 x 360; the Gaussian takes 0.2 ms.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from atrous.labels import VOID

__all__ = [
    "channel_groups",
    "joined",
    "pixel_spacing",
    "smooth_before_shrinking",
    "smooth_before_warp",
    "warp",
    "warp_image",
    "warp_labels",
]

SMOOTHING = 0.35
"""Standard deviation of the blur is this times sqrt(spacing ** 2 - 1), in pixels of the image."""

NO_BLUR = 0.25
"""A smaller standard deviation would move no pixel by a grey level worth the time."""


def warp_image(
    image: np.ndarray, where: np.ndarray, size: tuple[int, int], *, fill: Sequence[float]
) -> np.ndarray:
    """Return an image seen through `where`, linearly interpolated.

    Args:
        image: (H, W, C), uint8, uint16 or float32; not changed.
        where: (2, 3), from pixels of the result to pixels of `image`; or (height, width, 2).
        size: (height, width) of the result.
        fill: One value per channel for what lies outside the image.

    Returns:
        (height, width, C) of the same type; at the border the image fades into the fill over
        one pixel.
    """
    if image.shape[2] == 3:  # OpenCV warps four channels in 0.55 ms, three in 1.4 ms (512 x 512)
        quad = warp(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), where, size, fill, cv2.INTER_LINEAR)
        return cv2.cvtColor(quad, cv2.COLOR_RGBA2RGB)
    planes = [
        warp(plane, where, size, [value], cv2.INTER_LINEAR)
        for plane, value in zip(channel_groups(image), fill, strict=True)
    ]
    return joined(planes)


def warp_labels(
    labels: np.ndarray, where: np.ndarray, size: tuple[int, int], *, ignore_index: int = VOID
) -> np.ndarray:
    """Return labels (H, W) uint8 seen through `where`: at each pixel that of the nearest one.

    Args:
        labels: (H, W) uint8; not changed.
        where: (2, 3), from pixels of the result to pixels of `labels`; or (height, width, 2).
        size: (height, width) of the result.
        ignore_index: Label of what lies outside.
    """
    return warp(labels, where, size, [ignore_index], cv2.INTER_NEAREST)


def smooth_before_warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Blur an image that `matrix` shrinks, by as much as keeps the linear warp from aliasing.

    Args:
        image: (H, W, C); not changed.
        matrix: (2, 3), from pixels of the result to pixels of `image`.

    Returns:
        (H, W, C), new; or `image` itself where there is nothing to do.
    """
    return smooth_before_shrinking(image, pixel_spacing(matrix))


def smooth_before_shrinking(image: np.ndarray, spacing: float) -> np.ndarray:
    """Blur an image of which every `spacing`-th pixel will be taken; also at prediction.

    Args:
        image: (H, W, C); not changed.
        spacing: Pixels of the image between two of the result; at 1 and below nothing is done.

    Returns:
        (H, W, C), new; or `image` itself where there is nothing to do.
    """
    sigma = SMOOTHING * math.sqrt(max(0.0, spacing**2 - 1))
    if sigma < NO_BLUR:
        return image
    side = 2 * max(1, round(2 * sigma)) + 1
    blurred = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(image.shape)


def pixel_spacing(matrix: np.ndarray) -> float:
    """Return how many pixels of the image lie between two of the result: 1 / zoom."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return math.sqrt(abs(a * d - b * c))


def channel_groups(image: np.ndarray) -> list[np.ndarray]:
    """Cut (H, W, C) into what OpenCV works on fast: RGB whole, anything else plane by plane.

    Its fills and means hold four channels at most, and it has fast code for 1, 3 and 4 only.
    """
    return [image] if image.shape[2] in (1, 3) else list(cv2.split(image))


def joined(groups: list[np.ndarray]) -> np.ndarray:
    """Put what `channel_groups` cut together again: (H, W, C)."""
    whole = groups[0] if len(groups) == 1 else cv2.merge(groups)
    return whole.reshape(*whole.shape[:2], -1)  # OpenCV drops the axis of a single channel


def warp(
    image: np.ndarray,
    where: np.ndarray,
    size: tuple[int, int],
    fill: Sequence[float],
    interpolation: int,
) -> np.ndarray:
    """Call OpenCV's warp with what leads from the result to the image: a matrix or places."""
    constant, value = cv2.BORDER_CONSTANT, tuple(fill)
    if where.ndim == 3:
        bent: np.ndarray = cv2.remap(  # type: ignore[call-overload]  # the stubs know no None
            image, where, None, interpolation, borderMode=constant, borderValue=value
        )
        return bent
    flags = interpolation | cv2.WARP_INVERSE_MAP
    warped: np.ndarray = cv2.warpAffine(
        image, where, size[::-1], flags=flags, borderMode=constant, borderValue=value
    )
    return warped
