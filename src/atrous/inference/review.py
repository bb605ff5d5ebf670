"""Which predictions a person should look at first, and where in them.

Everything is taken from the files of a batch, so a batch that was interrupted and resumed, or one
of yesterday, is reviewed as a whole, one image in memory at a time.

An image's doubt is the mean of the predictive entropy over its pixels, 0..1
(`atrous.inference.uncertainty`). That ranked images closer to their error rates than the mean of
the most doubtful pixels, smoothed or not (docs/log.md, 2026-11-22).

For the region to look at, the entropy is shrunk to at most 512 pixels a side and smoothed with a
Gaussian of a 64th of its longer side: all networks doubt the thin line between two classes, and
what is worth a look is wider than that. Of the 5 % most doubtful pixels of that map, the connected
part with the largest sum is shown.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.data.masks import read_mask
from atrous.inference.results_folder import finished_sources
from atrous.inference.sources import Source
from atrous.inference.writers import FULL_SCALE, LARGEST_VARIANCE, map_paths
from atrous.labels import LabelSet

__all__ = ["Doubtful", "doubtful_region", "review", "smoothed_doubt"]

SIDE = 512
"""Longest side of the map that regions are found in, in pixels."""

SPREAD = 64
"""The longer side over the standard deviation of the smoothing."""

SHARE = 0.05
"""Part of an image that regions are made of."""

CLASSES = 3
"""Classes that are named of a region, the most frequent first."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Doubtful:
    """One image of a review.

    Attributes:
        image: The image.
        mask: Its mask, relative to the folder of the batch.
        doubt: Mean entropy, 0 for certain to 1 for no idea.
        mutual_information: Its mean, 0..1; 0 for a single pass.
        variance: Its mean, 0..0.25; 0 for a single pass.
        box: Left, top, width and height of the region in pixels; None where all is certain.
        classes: What the region was taken for, with the share of it, most frequent first.
    """

    image: Path
    mask: Path
    doubt: float
    mutual_information: float
    variance: float
    box: tuple[int, int, int, int] | None
    classes: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self), "image": str(self.image), "mask": self.mask.as_posix()}


def review(
    folder: Path, label_set: LabelSet, progress: Callable[[int, int], None] | None = None
) -> list[Doubtful]:
    """Return all finished images of a batch with their doubt, the most doubtful first.

    Args:
        folder: Where the batch wrote masks and uncertainty maps.
        label_set: The model's classes.
        progress: Told at the start and after each image.

    Raises:
        InputError: The folder holds no batch, or a damaged file.
    """
    sources = finished_sources(folder, map_paths)
    items = []
    for number, source in enumerate(sources):
        if progress is not None:
            progress(number, len(sources))
        items.append(_judged(folder, source, label_set))
    if progress is not None:
        progress(len(sources), len(sources))
    return sorted(items, key=lambda item: (-item.doubt, str(item.image)))


def smoothed_doubt(entropy: Floats) -> Floats:
    """Return the map (h, w) that regions are found in, h and w at most 512."""
    height, width = entropy.shape
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = entropy if scale == 1 else cv2.resize(entropy, size, interpolation=cv2.INTER_AREA)
    spread = max(size) / SPREAD
    smooth: Floats = np.asarray(cv2.GaussianBlur(small, (0, 0), spread), np.float32)
    return smooth


def doubtful_region(smooth: Floats) -> NDArray[np.bool_]:
    """Return the most doubtful connected region (h, w) of a smoothed map; empty if all is 0."""
    count = max(1, math.ceil(SHARE * smooth.size))
    highest = np.partition(smooth.ravel(), smooth.size - count)[smooth.size - count :]
    threshold = max(float(highest.min()), float(np.finfo(np.float32).tiny))
    number, parts = cv2.connectedComponents((smooth >= threshold).astype(np.uint8), connectivity=8)
    if number == 1:
        return np.zeros(smooth.shape, bool)
    sums = np.bincount(parts.ravel(), smooth.ravel())
    return np.asarray(parts == 1 + sums[1:].argmax())


def _judged(folder: Path, source: Source, label_set: LabelSet) -> Doubtful:
    entropy, mutual, variance = (
        read_mask(path).values.astype(np.float32) / np.float32(FULL_SCALE)
        for path in map_paths(folder / source.mask)
    )
    region = doubtful_region(smoothed_doubt(entropy))
    return Doubtful(
        source.path,
        source.mask,
        float(entropy.mean(dtype=np.float64)),
        float(mutual.mean(dtype=np.float64)),
        float(variance.mean(dtype=np.float64)) * LARGEST_VARIANCE,
        _box(region, entropy.shape),
        _classes(read_mask(folder / source.mask).values, region, label_set.names),
    )


def _box(region: NDArray[np.bool_], size: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height of a region, in pixels of the image."""
    if not region.any():
        return None
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    (top, height), (left, width) = (
        _extent(places, length / small)
        for places, length, small in zip((rows, columns), size, region.shape, strict=True)
    )
    return left, top, width, height


def _extent(places: NDArray[np.int64], scale: float) -> tuple[int, int]:
    """Return where places begin in the image, and how far they reach."""
    first = math.floor(places[0] * scale)
    return first, math.ceil((places[-1] + 1) * scale - 1e-6) - first


def _classes(
    labels: np.ndarray, region: NDArray[np.bool_], names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    if not region.any():
        return ()
    height, width = region.shape
    small = cv2.resize(labels.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    counts = np.bincount(small[region], minlength=len(names))[: len(names)]
    order = [index for index in np.argsort(-counts, kind="stable")[:CLASSES] if counts[index]]
    return tuple((names[index], float(counts[index] / region.sum())) for index in order)
