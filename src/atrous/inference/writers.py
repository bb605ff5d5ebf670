"""The files of one result: palette mask, overlay picture, probabilities, maps of doubt."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atrous.files import atomic_write, write_bytes
from atrous.inference.segmentation import Segmentation

__all__ = [
    "FULL_SCALE",
    "LARGEST_VARIANCE",
    "entropy_path",
    "is_finished",
    "map_paths",
    "mutual_information_path",
    "overlay_path",
    "probabilities_path",
    "variance_path",
    "write_results",
]

FULL_SCALE = 65535
"""What 1 is in the 16-bit maps of entropy and mutual information."""

LARGEST_VARIANCE = 0.25
"""Of numbers in 0..1: half of them 0, half of them 1. It is `FULL_SCALE` in the map of variance."""

JPEG_SIDE = 65500
"""Longest side that libjpeg writes; a longer overlay is shrunk to it."""


def overlay_path(mask: Path) -> Path:
    """Return where the overlay beside x.png goes: x-overlay.jpg."""
    return mask.with_name(f"{mask.stem}-overlay.jpg")


def probabilities_path(mask: Path) -> Path:
    """Return where the probabilities beside x.png go: x-probabilities.npy."""
    return mask.with_name(f"{mask.stem}-probabilities.npy")


def entropy_path(mask: Path) -> Path:
    """Return where the entropy beside x.png goes: x-entropy.png."""
    return mask.with_name(f"{mask.stem}-entropy.png")


def mutual_information_path(mask: Path) -> Path:
    """Return where the mutual information beside x.png goes: x-mutual-information.png."""
    return mask.with_name(f"{mask.stem}-mutual-information.png")


def variance_path(mask: Path) -> Path:
    """Return where the variance beside x.png goes: x-variance.png."""
    return mask.with_name(f"{mask.stem}-variance.png")


def map_paths(mask: Path) -> tuple[Path, Path, Path]:
    """Return where all maps of doubt beside x.png go."""
    return entropy_path(mask), mutual_information_path(mask), variance_path(mask)


def is_finished(mask: Path, overlay: bool, probabilities: bool, uncertainty: bool = False) -> bool:
    """Return whether everything wanted of one image lies there; files are whole or absent."""
    return (
        mask.exists()
        and (not overlay or overlay_path(mask).exists())
        and (not probabilities or probabilities_path(mask).exists())
        and (not uncertainty or all(path.exists() for path in map_paths(mask)))
    )


def write_results(segmentation: Segmentation, mask: Path, overlay: bool) -> None:
    """Write what `segmentation` holds; the mask comes last, so that it stands for the whole.

    Raises:
        OSError: The disk is full, the folder read-only, ...; no file is half-written.
    """
    if overlay:
        picture = segmentation.overlay()
        picture.thumbnail((JPEG_SIDE, JPEG_SIDE))
        content = io.BytesIO()
        picture.save(content, format="JPEG", quality=90)
        write_bytes(overlay_path(mask), content.getvalue())
    if segmentation.probabilities is not None:
        _write_array(probabilities_path(mask), segmentation.probabilities.astype(np.float16))
    maps = segmentation.uncertainty, segmentation.mutual_information, segmentation.variance
    for path, values, largest in zip(map_paths(mask), maps, (1, 1, LARGEST_VARIANCE), strict=True):
        if values is not None and segmentation.variance is not None:  # not of probabilities alone
            _write_map(path, values, largest)
    segmentation.save(mask)


def _write_map(path: Path, values: NDArray[np.float32], largest: float) -> None:
    """Write a map of 0..largest as a grey PNG of 16 bits, in which 65535 is the largest."""
    grey = np.rint(values * np.float32(FULL_SCALE / largest)).astype(np.uint16)
    content = io.BytesIO()
    Image.fromarray(grey).save(content, format="PNG", compress_level=3)
    write_bytes(path, content.getvalue())


def _write_array(path: Path, array: NDArray[np.float16]) -> None:
    """Write an .npy file as a whole or not at all.

    Not `np.save`: on a full disk it raises an OSError that does not say so.
    """
    with atomic_write(path) as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)
