"""Random scale, rotation, flip, crop and deformation of an image and its labels, and of colours.

The first four compose into ONE 2x3 affine matrix, to which an elastic deformation adds, and the
image and its labels are each warped once: linear for the image, nearest for the labels, so that no
label is ever interpolated.

All random numbers of a sample are drawn first (`Draw`), so that the same changes can be made
elsewhere: `batch_transform` makes them on a GPU.

Colours change before the warp, on the part of the image that the crop shows: the fill keeps its
value, which normalisation maps to the zero that convolutions pad with.

The module leaves OpenCV's threads alone; a loader worker settles them by `prepare_worker`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from atrous.data.colour_jitter import random_colours, recolour
from atrous.data.elastic import bent, interpolated, random_displacements
from atrous.data.random_matrix import random_matrix
from atrous.data.warp import pixel_spacing, smooth_before_warp, warp_image, warp_labels
from atrous.errors import InputError
from atrous.labels import VOID
from atrous.ops import Normalization

__all__ = ["WHITE", "Draw", "JointTransform", "check_pair", "fill_values", "seen_window"]

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""Largest value of what images are made of."""


class Draw(NamedTuple):
    """What is done to one image and its labels; every random number of it is drawn.

    Attributes:
        crop_size: (height, width) of the result.
        matrix: (2, 3), from pixels of the result to pixels of the image.
        factors: Of brightness, contrast and saturation, and the turn of hue in radians.
        nodes: (3, 3, 2) displacements in pixels of the image; None bends nothing.
        is_blurred: Whether the 5x5 Gaussian comes last.
    """

    crop_size: tuple[int, int]
    matrix: np.ndarray
    factors: tuple[float, float, float, float]
    nodes: np.ndarray | None
    is_blurred: bool


@dataclass(frozen=True)
class JointTransform:
    """Randomly scale, rotate, mirror, crop, bend, recolour: `transform(image, labels, rng)`.

    Attributes:
        crop_size: (height, width) of the result; None keeps each image's own size.
        scale_range: Smallest and largest zoom, drawn uniformly.
        scale_step: Draw the zoom from the smallest on in steps of this size instead, all alike
            often: 0.25 is the DeepLab releases'.
        rotation: Largest angle either way, in degrees, about the centre of the crop.
        flip: Share of the images that are mirrored left to right.
        brightness: Largest change of the values as a fraction; 0 leaves them.
        contrast: The same for the distance from the mean.
        saturation: The same for the distance from grey; RGB only.
        hue: Largest turn of the colours as a fraction of the circle, at most 0.5; RGB only.
        fill: Value outside the image, one for all channels or one each, in the image's own units;
            None takes the mean that normalisation maps to 0.
        ignore_index: Label outside the image.
        elastic: Spread of the displacements at nine nodes of the crop, in its pixels (U-Net: 10);
            0 bends nothing.
        blur: Share of the images that are smoothed by a 5x5 Gaussian (PSPNet, Sec. 5.1).
        normalization: What the network will take off, for `fill`; None is ImageNet's for three
            channels, 0.5 for others.
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
    elastic: float = 0.0
    normalization: Normalization | None = None
    scale_step: float | None = None
    blur: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A value is outside its range.
        """
        if self.crop_size is not None and (len(self.crop_size) != 2 or min(self.crop_size) < 1):
            raise InputError(f"crop_size is {self.crop_size}; give (height, width) in pixels")
        low, high = self.scale_range
        if not 0 < low <= high < math.inf:
            raise InputError(
                f"scale_range is {self.scale_range}; give the smallest and the largest zoom, "
                "both above 0, e.g. (0.5, 2.0)"
            )
        limits = {"rotation": 180, "hue": 0.5, "elastic": 1000}
        shares = ("flip", "brightness", "contrast", "saturation", "blur")
        for name in (*shares, *limits):
            value, limit = getattr(self, name), limits.get(name, 1)
            if not 0 <= value <= limit:
                raise InputError(f"{name} is {value}, but must lie in 0..{limit}")
        if self.scale_step is not None and not self.scale_step > 0:
            raise InputError(f"scale_step is {self.scale_step}, but must be above 0")
        if self.ignore_index not in range(256):
            raise InputError(f"ignore_index is {self.ignore_index}, but must lie in 0..255")

    def __call__(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator,
        *,
        focus: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a new image (h, w, C) and new labels (h, w), of the crop's size.

        Args:
            image: (H, W, C) uint8 or uint16, RGB if C is 3; not changed.
            labels: (H, W) uint8; not changed.
            rng: The only source of randomness: the same state gives the same bytes.
            focus: A pixel (x, y) that the crop shows; see `random_matrix`.

        Raises:
            InputError: Shapes or types that do not fit each other.
        """
        check_pair(image, labels)
        return self.apply(self.draw(rng, labels.shape, focus=focus), image, labels)

    def draw(
        self,
        rng: np.random.Generator,
        image_size: tuple[int, ...],
        *,
        focus: tuple[int, int] | None = None,
    ) -> Draw:
        """Draw what will be done to an image of (height, width), without looking at it.

        Args:
            rng: As in a call, which draws the same.
            image_size: (height, width).
            focus: As in a call.
        """
        height, width = image_size
        crop_size = self.crop_size or (height, width)
        matrix = random_matrix(
            rng,
            (height, width),
            crop_size,
            scale_range=self.scale_range,
            scale_step=self.scale_step,
            rotation=self.rotation,
            flip=self.flip,
            focus=focus,
        )
        factors = random_colours(
            rng,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
        )
        nodes = None
        if self.elastic:
            nodes = random_displacements(rng, self.elastic) @ matrix[:, :2].T
        is_blurred = bool(self.blur and rng.random() < self.blur)
        return Draw(crop_size, matrix, factors, nodes, is_blurred)

    def apply(
        self, drawn: Draw, image: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Do to an image and its labels what was drawn; neither is changed."""
        bend = None if drawn.nodes is None else interpolated(drawn.nodes, drawn.crop_size)
        reach = 0.0 if bend is None else float(np.abs(bend).max())
        fill = fill_values(self.fill, image, self.normalization)
        rows, columns = seen_window(drawn.matrix, labels.shape, drawn.crop_size, reach=reach)
        matrix = drawn.matrix.copy()
        matrix[:, 2] -= columns.start, rows.start
        seen = recolour(smooth_before_warp(image[rows, columns], matrix), drawn.factors)
        if drawn.is_blurred:
            seen = cv2.GaussianBlur(seen, (5, 5), 0).reshape(seen.shape)
        where = matrix if bend is None else bent(matrix, bend)
        ignore, size = self.ignore_index, drawn.crop_size
        return (
            warp_image(seen, where, size, fill=fill),
            warp_labels(labels[rows, columns], where, size, ignore_index=ignore),
        )


def seen_window(
    matrix: np.ndarray,
    image_size: tuple[int, int],
    crop_size: tuple[int, int],
    *,
    reach: float = 0.0,
) -> tuple[slice, slice]:
    """Return the rows and columns of the image that the crop can show, at least one of each.

    Args:
        matrix: (2, 3), from pixels of the result to pixels of the image.
        image_size: (height, width) of the image.
        crop_size: (height, width) of the result.
        reach: Pixels of the image by which a deformation moves a pixel at most.
    """
    bottom, right = crop_size[0] - 1, crop_size[1] - 1
    corners = np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])
    margin = math.ceil(2 * pixel_spacing(matrix) + reach)  # for interpolation and smoothing
    columns, rows = (
        slice(
            min(max(math.floor(places.min()) - margin, 0), length - 1),
            max(min(math.ceil(places.max()) + margin + 1, length), 1),
        )
        for places, length in zip(matrix @ corners, image_size[::-1], strict=True)
    )
    return rows, columns


def fill_values(
    fill: float | Sequence[float] | None,
    image: np.ndarray,
    normalization: Normalization | None = None,
) -> tuple[float, ...]:
    """Return one value per channel of `image`, in its units.

    Raises:
        InputError: `fill`, or without it `normalization`, holds another number of values than the
            image channels.
    """
    num_channels: int = image.shape[2]
    if fill is None:
        mean = (normalization or Normalization.for_channels(num_channels)).mean
        fill = tuple(round(m * WHITE[image.dtype]) for m in mean)
    if isinstance(fill, (int, float)):
        return (fill,) * num_channels
    if len(fill) != num_channels:
        raise InputError(
            f"fill has {len(fill)} value(s), but the image {num_channels} channel(s); "
            "give one number for all or one for each"
        )
    return tuple(fill)


def check_pair(image: np.ndarray, labels: np.ndarray) -> None:
    """Raise InputError unless image and labels are arrays that belong together."""
    if image.ndim != 3 or image.dtype not in WHITE or image.size == 0:
        raise InputError(
            f"the image is {image.dtype} of shape {image.shape}; "
            "give (height, width, channels) of uint8 or uint16"
        )
    if labels.dtype != np.uint8 or labels.shape != image.shape[:2]:
        raise InputError(
            f"the labels are {labels.dtype} of shape {labels.shape}; give uint8 of the image's "
            f"height and width, {image.shape[:2]}"
        )
