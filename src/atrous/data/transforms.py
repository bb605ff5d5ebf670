"""Random scale, rotation, flip and crop of an image and its labels, then a change of colours.

The four compose into ONE 2x3 affine matrix, and the image and its labels are each warped once:
linear for the image, nearest for the labels, so that no label is ever interpolated. The same matrix
can drive `grid_sample` on a GPU.

Coordinates: pixel (i, j) covers the square from (i, j) to (i + 1, j + 1), its centre is at + 0.5.
A flip or a crop by whole pixels is therefore bit-equal to slicing.

Scale is uniform in `scale_range`, as in DeepLab's protocol (v3, Sec. 4.1: "randomly scaling the
input images (from 0.5 to 2.0)"; their code draws evenly from 0.5, 0.75, ..., 2). Log-uniform would
shrink half of the images instead of a third, and what is shrunk below the crop is padded with void.

The module leaves OpenCV's threads alone. A loader worker should call `cv2.setNumThreads(1)` once,
or every worker starts as many threads as there are cores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from atrous.data.colour_jitter import channel_groups, random_colours, recolour
from atrous.errors import InputError
from atrous.labels import VOID
from atrous.ops import Normalization

__all__ = ["JointTransform", "random_matrix", "warp_image", "warp_labels"]

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


@dataclass(frozen=True)
class JointTransform:
    """Randomly scale, rotate, mirror, crop and recolour; `transform(image, labels, rng)`.

    Attributes:
        crop_size: (height, width) of the result; None keeps each image's own size.
        scale_range: Smallest and largest zoom, drawn uniformly.
        rotation: Largest angle either way, in degrees, about the centre of the crop.
        flip: Share of the images that are mirrored left to right.
        brightness: See `random_colours`, as for the next three.
        contrast: ...
        saturation: ...
        hue: ...
        fill: Value outside the image, one for all channels or one each, in the image's own units;
            None takes the mean that normalisation maps to 0.
        ignore_index: Label outside the image.
    """

    crop_size: tuple[int, int] | None
    scale_range: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0
    flip: float = 0.5
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    hue: float = 0.0
    fill: float | Sequence[float] | None = None
    ignore_index: int = VOID

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a new image (h, w, C) and labels (h, w) of the crop's size.

        Args:
            image: (H, W, C) uint8 or uint16, RGB if C is 3; not changed.
            labels: (H, W) uint8; not changed.
            rng: The only source of randomness: the same state gives the same bytes.
        """
        image_size = labels.shape[:2]
        crop_size = self.crop_size or image_size
        matrix = random_matrix(
            rng,
            image_size,
            crop_size,
            scale_range=self.scale_range,
            rotation=self.rotation,
            flip=self.flip,
        )
        factors = random_colours(
            rng,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
        )
        rows, columns = seen_window(matrix, image_size, crop_size)
        matrix[:, 2] -= columns.start, rows.start
        seen = recolour(image[rows, columns], factors)
        fill = fill_values(self.fill, image)
        return (
            warp_image(seen, matrix, crop_size, fill=fill),
            warp_labels(labels[rows, columns], matrix, crop_size, ignore_index=self.ignore_index),
        )


def random_matrix(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    crop_size: tuple[int, int],
    *,
    scale_range: tuple[float, float] = (0.5, 2.0),
    rotation: float = 10.0,
    flip: float = 0.5,
) -> np.ndarray:
    """Draw scale, rotation, flip and crop as one matrix from the crop to the image."""
    scale = rng.uniform(*scale_range)
    angle = math.radians(rng.uniform(-rotation, rotation))
    mirror = -1.0 if rng.random() < flip else 1.0
    height, width = image_size
    centre_y, centre_x = (
        (random_corner(rng, round(length * scale), crop) + crop / 2) / scale
        for length, crop in ((height, crop_size[0]), (width, crop_size[1]))
    )
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    turn = np.array([[mirror * cos, sin], [-mirror * sin, cos]])
    middle = np.array([crop_size[1] / 2, crop_size[0] / 2])
    shift = np.array([centre_x, centre_y]) - 0.5 - turn @ (middle - 0.5)
    return np.column_stack([turn, shift])


def random_corner(rng: np.random.Generator, length: int, crop: int) -> int:
    """Draw where the crop starts: inside the image, or around all of it if the crop is larger."""
    slack = length - crop
    return int(rng.integers(min(0, slack), max(0, slack), endpoint=True))


def warp_image(
    image: np.ndarray, matrix: np.ndarray, crop_size: tuple[int, int], *, fill: Sequence[float]
) -> np.ndarray:
    """Return the (h, w, C) crop of an image (H, W, C), linearly interpolated."""
    height, width = crop_size
    parts = [
        cv2.warpAffine(
            part,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=tuple(fill[4 * index : 4 * index + 4]),
        ).reshape(height, width, -1)
        for index, part in enumerate(channel_groups(image))
    ]
    return np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]


def warp_labels(
    labels: np.ndarray, matrix: np.ndarray, crop_size: tuple[int, int], *, ignore_index: int = VOID
) -> np.ndarray:
    """Return the (h, w) crop of labels (H, W), each the label of the nearest pixel."""
    height, width = crop_size
    return cv2.warpAffine(
        labels,
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=ignore_index,
    )


def seen_window(
    matrix: np.ndarray, image_size: tuple[int, int], crop_size: tuple[int, int]
) -> tuple[slice, slice]:
    """Return the rows and columns of the image that the crop can show, at least one of each."""
    bottom, right = crop_size[0] - 1, crop_size[1] - 1
    corners = np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])
    columns, rows = (
        slice(
            int(np.clip(np.floor(places.min()) - 1, 0, length - 1)),
            int(np.clip(np.ceil(places.max()) + 2, 1, length)),
        )
        for places, length in zip(matrix @ corners, image_size[::-1], strict=True)
    )
    return rows, columns


def fill_values(fill: float | Sequence[float] | None, image: np.ndarray) -> tuple[float, ...]:
    """Return one value per channel of `image`, in its units."""
    num_channels = image.shape[2]
    if fill is None:
        white = WHITE[image.dtype]
        return tuple(round(m * white) for m in Normalization.for_channels(num_channels).mean)
    if isinstance(fill, (int, float)):
        return (fill,) * num_channels
    if len(fill) != num_channels:
        raise InputError(
            f"fill has {len(fill)} value(s) for an image of {num_channels} channel(s); give one"
        )
    return tuple(fill)
