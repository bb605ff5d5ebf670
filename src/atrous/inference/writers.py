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
    "entropy_path",
    "is_finished",
    "mutual_information_path",
    "overlay_path",
    "probabilities_path",
    "write_results",
]

FULL_SCALE = 65535
"""What 1 is in the 16-bit maps of entropy and mutual information."""

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


def is_finished(mask: Path, overlay: bool, probabilities: bool, uncertainty: bool = False) -> bool:
    """Return whether everything wanted of one image lies there; files are whole or absent."""
    return (
        mask.exists()
        and (not overlay or overlay_path(mask).exists())
        and (not probabilities or probabilities_path(mask).exists())
        and (not uncertainty or entropy_path(mask).exists())
        and (not uncertainty or mutual_information_path(mask).exists())
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
    if segmentation.mutual_information is not None and segmentation.uncertainty is not None:
        _write_map(entropy_path(mask), segmentation.uncertainty)
        _write_map(mutual_information_path(mask), segmentation.mutual_information)
    segmentation.save(mask)


def _write_map(path: Path, values: NDArray[np.float32]) -> None:
    """Write a map of 0..1 as a grey PNG of 16 bits, in which 65535 is 1."""
    grey = np.rint(values * np.float32(FULL_SCALE)).astype(np.uint16)
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
