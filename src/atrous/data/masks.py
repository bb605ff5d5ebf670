"""Mask files as raw numbers: class indices, or colours packed into one number.

Pillow reads them, because OpenCV expands a palette into colours and the indices are lost.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import BmpImagePlugin, Image, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from atrous.data.decoding.headers import ImageHeader, judge_header
from atrous.data.decoding.tiff_pixels import first_page_alone
from atrous.data.decoding.truncation import check_whole
from atrous.data.findings import FileError
from atrous.data.images import upright

__all__ = ["RawMask", "decode_mask", "pack", "read_mask", "unpack", "value_counts"]

Colour = tuple[int, int, int]

# The classes themselves: `Image.open` would warn of, then refuse, sizes that we have judged.
_OPENERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}


@dataclass(frozen=True, eq=False)
class RawMask:
    """The numbers in a mask file, before anybody says what they mean.

    Attributes:
        values: (H, W) uint8, uint16 or int32: indices, or colours as 0xRRGGBB.
        coloured: Whether `values` are colours.
        palette: Red, green, blue of index 0, of index 1, ...; empty without a palette.
    """

    values: np.ndarray
    coloured: bool
    palette: Sequence[int] = ()

    def colour(self, index: int) -> int | None:
        """Return the colour 0xRRGGBB of an index, or None where the palette ends before it."""
        red, *rest = self.palette[3 * index : 3 * index + 3] or (None,)
        return None if red is None else pack((red, rest[0], rest[1]))


def read_mask(path: Path) -> RawMask:
    """Return the raw numbers of the mask at `path`.

    Raises:
        FileError: The header is refused, the file is damaged, or its format loses values.
    """
    path = Path(path)
    header = judge_header(path)
    return decode_mask(path, header, path.read_bytes())


def decode_mask(path: Path, header: ImageHeader, content: bytes) -> RawMask:
    """Return the raw numbers of a mask whose header has been judged.

    Raises:
        FileError: As `read_mask`.
    """
    if header.lossy:
        raise FileError(
            path,
            f"is a lossy {header.format}, which blurs class numbers",
            "save masks as PNG from their source",
        )
    if header.channels not in (1, 3, 4):
        raise FileError(
            path,
            f"has {header.channels} channels, but a mask has one of indices or three of colour",
            "save it as an 8-bit PNG of class indices",
        )
    if header.bits > 8 and header.channels > 1:
        raise FileError(
            path,
            "is a 16-bit colour picture, but colours of 8 bits are needed",
            "save it as 8-bit RGB or as class indices",
        )
    check_whole(path, header, content)
    if header.format == "TIFF":
        content = first_page_alone(content)
    try:
        image = _OPENERS[header.format](io.BytesIO(content))
        image.load()
    except Exception as error:  # Pillow's decoders raise a dozen kinds
        raise FileError(path, f"is damaged: {error}", "copy it again") from error
    return _raw(path, header, image)


def value_counts(values: np.ndarray) -> dict[int, int]:
    """Return how many pixels have each number, ascending.

    What is wider than a byte is counted by runs of equal pixels: masks are made of areas, so
    there are few, and sorting every pixel takes ten times as long.
    """
    flat = values.ravel()
    if values.dtype == np.uint8:
        amounts = np.bincount(flat, minlength=256)
        return {int(value): int(amounts[value]) for value in np.flatnonzero(amounts)}
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], starts])
    lengths = np.diff(starts, append=flat.size)
    numbers, which = np.unique(flat[starts], return_inverse=True)
    counts = np.zeros(len(numbers), np.int64)
    np.add.at(counts, which, lengths)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def pack(colour: Colour) -> int:
    """Return 0xRRGGBB."""
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def unpack(number: int) -> Colour:
    """Return (red, green, blue) of 0xRRGGBB."""
    return number >> 16, number >> 8 & 255, number & 255


def _raw(path: Path, header: ImageHeader, image: Image.Image) -> RawMask:
    """Choose by Pillow's mode."""
    mode = image.mode
    if mode in ("RGB", "RGBA", "RGBX"):
        pixels = upright(np.asarray(image)[..., :3], header.orientation)
        words = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0]  # 0xffRRGGBB
        return RawMask((words & 0xFFFFFF).astype(np.int32), True)
    if mode == "1":
        values = np.asarray(image).astype(np.uint8)
    elif mode in ("L", "P"):
        values = np.asarray(image)
        if mode == "L" and header.bits in (2, 4):  # Pillow stretches them to 0..255
            values = values // (255 // (2**header.bits - 1))
    elif mode in ("LA", "PA"):
        values = np.asarray(image)[..., 0]
    elif mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
    else:
        raise FileError(
            path,
            f"is a mask of kind {mode}, which is not read",
            "save it as an 8-bit PNG of class indices",
        )
    palette = image.getpalette() if mode == "P" else None
    return RawMask(upright(values, header.orientation), False, palette or ())
