"""Warp an image and its labels by the same affine matrix: linear for one, nearest for the other.

A matrix maps the pixels of the result to those of the image, which is also what `grid_sample`
wants: `(x, y) = matrix @ (column, row, 1)`, integers at the pixels' centres.

Linear interpolation looks at 2 x 2 pixels, so it aliases where the image shrinks. Against 64
samples a pixel on six CamVid images, the plain warp reaches 42 dB at zoom 1, 38 at 0.7, 34 at 0.5
and 28 at 0.25. Averaging areas down to 1.5 times the final zoom first brings 42 dB at 0.6, 41 at
0.5 and 39 at 0.25. It is done below 2/3 only: above, 1.5 times the zoom is no reduction.
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
    "reduce_before_warp",
    "warp_image",
    "warp_labels",
]

REDUCE_TO = 1.5
"""Pixels per pixel of the result, in each direction, that are left for the linear warp."""


def warp_image(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], *, fill: Sequence[float]
) -> np.ndarray:
    """Return an image seen through `matrix`, linearly interpolated.

    Args:
        image: (H, W, C), uint8, uint16 or float32; not changed.
        matrix: (2, 3), from pixels of the result to pixels of `image`.
        size: (height, width) of the result.
        fill: One value per channel for what lies outside the image.

    Returns:
        (height, width, C) of the same type; at the border the image fades into the fill over
        one pixel.
    """
    if image.shape[2] == 3:  # OpenCV warps four channels in 0.55 ms, three in 1.4 ms (512 x 512)
        quad = warp(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), matrix, size, fill, cv2.INTER_LINEAR)
        return cv2.cvtColor(quad, cv2.COLOR_RGBA2RGB)
    planes = [
        warp(plane, matrix, size, [value], cv2.INTER_LINEAR)
        for plane, value in zip(channel_groups(image), fill, strict=True)
    ]
    return joined(planes)


def warp_labels(
    labels: np.ndarray, matrix: np.ndarray, size: tuple[int, int], *, ignore_index: int = VOID
) -> np.ndarray:
    """Return labels (H, W) uint8 seen through `matrix`: at each pixel that of the nearest one.

    Args:
        labels: (H, W) uint8; not changed.
        matrix: (2, 3), from pixels of the result to pixels of `labels`.
        size: (height, width) of the result.
        ignore_index: Label of what lies outside.
    """
    return warp(labels, matrix, size, [ignore_index], cv2.INTER_NEAREST)


def reduce_before_warp(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average areas of an image that `matrix` shrinks to less than 2/3, so that it cannot alias.

    Args:
        image: (H, W, C).
        matrix: (2, 3), from pixels of the result to pixels of `image`.

    Returns:
        The smaller image and the matrix that leads to its pixels; both as they came if the zoom
        is at least 2/3.
    """
    factor = REDUCE_TO / pixel_spacing(matrix)
    if factor >= 1:
        return image, matrix
    height, width = (max(1, round(length * factor)) for length in image.shape[:2])
    groups = [
        cv2.resize(group, (width, height), interpolation=cv2.INTER_AREA)
        for group in channel_groups(image)
    ]
    ratio = np.array([[width / image.shape[1]], [height / image.shape[0]]])
    turn, shift = matrix[:, :2] * ratio, (matrix[:, 2:] + 0.5) * ratio - 0.5
    return joined(groups), np.hstack([turn, shift])


def pixel_spacing(matrix: np.ndarray) -> float:
    """Return how many pixels of the image lie between two of the result: 1 / zoom."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))


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
    matrix: np.ndarray,
    size: tuple[int, int],
    fill: Sequence[float],
    interpolation: int,
) -> np.ndarray:
    """Call OpenCV's warp with a matrix that leads from the result to the image."""
    return cv2.warpAffine(
        image,
        matrix,
        size[::-1],
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=tuple(fill),
    )
