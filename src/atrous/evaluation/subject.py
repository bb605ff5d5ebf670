"""What is scored, whoever predicts: a label map for each image, classes, and how it came about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous import __version__
from atrous.data.spec import DataSpec, Pair
from atrous.labels import LabelSet

__all__ = ["Prediction", "Subject", "data_stamp"]

LIBRARIES = ("torch", "numpy", "opencv-python-headless")
"""Those whose versions can move a score in its last digits."""


class Prediction(NamedTuple):
    """One image's answer."""

    labels: np.ndarray
    """(H, W) classes."""
    confidence: NDArray[np.float32] | None = None
    """(H, W) probability of each label; None where only labels are known."""
    untempered: NDArray[np.float32] | None = None
    """The same as the network gives it, where a temperature has been at the other one."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, or a folder of masks, as something to score.

    Attributes:
        predict: Gives the prediction of a pair, at the size of its labels (H, W), which it is
            given to check that.
        label_set: The classes to score.
        protocol: What decides the numbers, as plain JSON values.
    """

    predict: Callable[[Pair, np.ndarray], Prediction]
    label_set: LabelSet
    protocol: Mapping[str, object]


def data_stamp(spec: DataSpec, split: str) -> dict[str, object]:
    """Return what decides a score on the side of the data, and the versions in use."""
    return {
        "split": split,
        "resolution": "labels",
        "data": spec.root.name,
        "data_hash": spec.fingerprint,
        "sizes": _sizes(spec, split),
        "versions": {"atrous": __version__, **_versions()},
    }


def _sizes(spec: DataSpec, split: str) -> str:
    """Return the images' sizes: 480x360, or the smallest and the largest."""
    found = sorted(spec.statistics[split].sizes, key=lambda size: size[0] * size[1])
    ends = dict.fromkeys([*found[:1], *found[-1:]])
    return " to ".join(f"{width}x{height}" for height, width in ends)


def _versions() -> dict[str, str]:
    """Return the libraries' versions without importing them."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # another build of OpenCV
            continue
    return found
