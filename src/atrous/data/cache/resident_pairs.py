"""All pairs of a split decoded once and kept on the device that trains."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from atrous.data.layout import Pair

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ResidentPair", "ResidentPairs"]


class ResidentPair(NamedTuple):
    """One pair on the device.

    Attributes:
        image: (C, H, W) uint8, or float32 in [0, 1] where the split has 16-bit images.
        labels: (H, W) uint8.
        on_host: The labels once more, where a class is looked for in them.
    """

    image: "Tensor"
    labels: "Tensor"
    on_host: np.ndarray


class ResidentPairs:
    """A split on a device; whoever asks for arrays instead gets them from the files.

    Args:
        pairs: All of the split.

    Attributes:
        memory: Bytes on the device.
    """

    kind: Literal["device"] = "device"

    def __init__(self, pairs: Mapping[Pair, ResidentPair]) -> None:
        self.pairs = pairs
        self.memory = sum(pair.image.nbytes + pair.labels.nbytes for pair in pairs.values())

    def read(
        self, pair: Pair, decode: Callable[[Pair], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `decode` gives."""
        return decode(pair)
