"""The chunks of a PNG file before its pixels (PNG, third edition, Sec. 5 and 11)."""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from atrous.data.tiff_header import exif_orientation

__all__ = ["PngHeader", "png_fault", "read_png_header"]

SIGNATURE_BYTES = 8
MAX_CHUNKS = 10_000  # before the pixels; a hostile file could hold millions
MAX_EXIF_BYTES = 2**16
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # colour type -> without alpha, palette expanded


@dataclass(frozen=True)
class PngHeader:
    """IHDR and the two other chunks that change what a reader sees.

    Attributes:
        width: Columns as stored.
        height: Rows as stored.
        channels: 1 or 3; alpha left out, a palette counted as colour.
        bits: Bits per sample: 1, 2, 4, 8 or 16.
        frames: More than 1 for an animation (acTL).
        orientation: From eXIf, 1..8.
    """

    width: int
    height: int
    channels: int
    bits: int
    frames: int
    orientation: int


def read_png_header(file: BinaryIO) -> PngHeader:
    """Walk the chunks up to the first pixels.

    Raises:
        struct.error: The file ends before them.
        ValueError: It is no PNG; the message says why.
    """
    file.seek(SIGNATURE_BYTES)
    _, kind = struct.unpack(">I4s", file.read(8))
    if kind != b"IHDR":
        raise ValueError("is a PNG without a header chunk")
    width, height, bits, colour_type = struct.unpack(">IIBB", file.read(10))
    file.seek(3 + 4, 1)
    frames = orientation = 1
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"IDAT":
            break
        if kind == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            length -= 4
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(file.read(length))
            length = 0
        file.seek(length + 4, 1)
    if colour_type not in CHANNELS:
        raise ValueError(f"is a PNG of colour type {colour_type}, which does not exist")
    return PngHeader(width, height, CHANNELS[colour_type], bits, frames, orientation)


def png_fault(content: bytes) -> str | None:
    """Return what is wrong between the signature and IEND, or None.

    The check sums are compared here, because the decoder would report a broken one on stderr.
    """
    position = SIGNATURE_BYTES
    view = memoryview(content)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        (stored,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != stored:
            return f"is damaged near byte {position:,} (check sum of {kind.decode('latin-1')})"
        if kind == b"IEND":
            return None
        position = end
    return f"is truncated: it ends after {len(content):,} bytes, before its pixels do"
