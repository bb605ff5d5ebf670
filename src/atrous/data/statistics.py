"""What a split holds, counted: images, pixels of each class, sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SplitStatistics"]


@dataclass(frozen=True)
class SplitStatistics:
    """Counts over the usable pairs of one split.

    Attributes:
        images: Number of pairs.
        pixels: Pixels of each class.
        void: Pixels of no class.
        images_with: Images in which each class occurs.
        sizes: (height, width) -> number of images.
    """

    images: int
    pixels: tuple[int, ...]
    void: int
    images_with: tuple[int, ...]
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the fraction of each class among the pixels that have a class."""
        total = max(1, sum(self.pixels))
        return tuple(count / total for count in self.pixels)
