"""Mask files as raw numbers: class indices, or colours packed into one number.

Pillow reads them, because OpenCV expands a palette into colours and the indices are lost.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import BmpImagePlugin, Image, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from atrous.data.decoding.decoder_log import quiet_decoder
from atrous.data.decoding.headers import ImageHeader, judge_header
from atrous.data.decoding.tiff_pixels import decode_tiff_bands, first_page_alone, tiff_palette
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
        bilevel: Whether the file had one bit a pixel, and no palette.
    """

    values: np.ndarray
    coloured: bool
    palette: Sequence[int] = ()
    bilevel: bool = False

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
    _check_kind(path, header)
    check_whole(path, header, content)
    raw = _from_tiff(content) if header.format == "TIFF" else None
    if raw is None:
        raw = _from_pillow(path, header, content)
    return replace(raw, values=upright(raw.values, header.orientation))


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


def _check_kind(path: Path, header: ImageHeader) -> None:
    """Refuse what cannot hold class numbers exactly."""
    if header.lossy:
        what = f"is a lossy {header.format}, which blurs class numbers"
        raise FileError(path, what, "save masks as PNG from their source")
    if header.channels not in (1, 3, 4):
        what = f"has {header.channels} channels, but a mask has one of indices or three of colour"
        raise FileError(path, what, "save it as an 8-bit PNG of class indices")
    if header.bits > 8 and header.channels > 1:
        what = "is a 16-bit colour picture, but colours of 8 bits are needed"
        raise FileError(path, what, "save it as 8-bit RGB or as class indices")


def _from_tiff(content: bytes) -> RawMask | None:
    """Read bands of 8 or 16 bits of any size; None for other kinds of TIFF."""
    with quiet_decoder():
        bands = decode_tiff_bands(content, indices=True)
    if bands is None:
        return None
    if bands.shape[2] > 1:
        return _coloured(bands)
    return RawMask(bands[..., 0], False, tiff_palette(content))


def _from_pillow(path: Path, header: ImageHeader, content: bytes) -> RawMask:
    """Read everything else; Pillow's mode tells what it is."""
    if header.format == "TIFF":
        content = first_page_alone(content)
    try:
        image = _OPENERS[header.format](io.BytesIO(content))
        pixels = np.asarray(image)
    except Exception as error:  # Pillow's decoders raise a dozen kinds
        raise FileError(path, f"is damaged: {error}", "copy it again") from error
    mode = image.mode
    if mode in ("RGB", "RGBA", "RGBX"):
        return _coloured(pixels)
    if mode == "1":
        return RawMask(pixels.astype(np.uint8), False, bilevel=True)
    if mode in ("L", "P"):
        if mode == "L" and header.bits in (2, 4):  # Pillow stretches them to 0..255
            pixels = pixels // (255 // (2**header.bits - 1))
        return RawMask(pixels, False, (image.getpalette() or ()) if mode == "P" else ())
    if mode in ("LA", "PA"):
        return RawMask(pixels[..., 0], False)
    if mode.startswith("I;16"):
        return RawMask(pixels.astype(np.uint16), False)
    what = f"is a mask of kind {mode}, which is not read"
    raise FileError(path, what, "save it as an 8-bit PNG of class indices")


def _coloured(pixels: np.ndarray) -> RawMask:
    """Pack red, green and blue, the first three channels, into one number."""
    colours = np.ascontiguousarray(pixels[..., :3])
    words = cv2.cvtColor(colours, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0]  # 0xffRRGGBB
    return RawMask((words & 0xFFFFFF).astype(np.int32), True)
