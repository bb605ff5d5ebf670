"""Which image a training sample shows, and which of its classes the crop has to show.

Both are functions of the seed and the sample's number, as all that a sample is.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Choice", "ClassBalanced", "Sampling", "Uniform", "pixel_of"]


class Choice(NamedTuple):
    """What a sample shows.

    Attributes:
        pair: Its number in the split.
        label: The class of which the crop shows a pixel; None: whatever there is.
    """

    pair: int
    label: int | None = None


class Sampling(Protocol):
    """A rule by which samples are chosen."""

    def __call__(self, number: int) -> Choice:
        """Return what sample `number` of the run shows."""
        ...


class Uniform:
    """Every image once a pass, in the pass's own random order; the crop is anywhere in it.

    Args:
        images: Images of the split.
        seed: The run's seed.
    """

    def __init__(self, images: int, seed: int) -> None:
        self.images = images
        self.seed = seed

    def __call__(self, number: int) -> Choice:
        """Return what sample `number` of the run shows."""
        epoch, position = divmod(number, self.images)
        return Choice(int(_order(self.images, self.seed, epoch)[position]))


class ClassBalanced:
    """Every class once a turn, in a random order; an image that shows it; a crop around a pixel.

    Of K classes that occur, samples n K to n K + K - 1 ask for each of them once. The image is
    drawn from those that show the class, all alike; the pixel from those of the class in the image,
    all alike; the crop from those that hold the pixel, all alike. So a crop shows a class of 0.1 %
    of the pixels as often as any other, and beside it whatever there is, frequent classes mostly.

    Args:
        pairs_with: Numbers of the pairs that show each class.
        seed: The run's seed.
    """

    def __init__(self, pairs_with: Sequence[Sequence[int]], seed: int) -> None:
        self.pairs_with = pairs_with
        self.labels = [label for label, pairs in enumerate(pairs_with) if pairs]
        self.seed = seed

    def __call__(self, number: int) -> Choice:
        """Return what sample `number` of the run shows."""
        turn, position = divmod(number, len(self.labels))
        order = np.random.default_rng((self.seed, 2, turn)).permutation(self.labels)
        label = int(order[position])
        pairs = self.pairs_with[label]
        drawn = int(np.random.default_rng((self.seed, 3, number)).integers(len(pairs)))
        return Choice(pairs[drawn], label)


@lru_cache(maxsize=2)  # a batch may lie in two passes
def _order(images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of the images in a pass."""
    return np.random.default_rng((seed, 0, epoch)).permutation(images)


def pixel_of(
    labels: np.ndarray, label: int | None, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Draw a pixel (x, y) of a class from labels (H, W); None if there is none, or no class."""
    if label is None:
        return None
    places = np.flatnonzero(labels == label)
    if len(places) == 0:
        return None
    y, x = divmod(int(rng.choice(places)), labels.shape[1])
    return x, y
