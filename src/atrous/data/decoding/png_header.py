"""The chunks of a PNG file before its pixels (PNG, third edition, Sec. 5 and 11)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from atrous.data.decoding.tiff_header import exif_orientation

__all__ = ["PngHeader", "png_checksum_fault", "png_is_whole", "read_png_header"]

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


def png_is_whole(content: bytes) -> bool:
    """Return whether the chunks follow each other to the last one, IEND."""
    return any(kind == b"IEND" for kind, _, _ in _chunks(content))


def png_checksum_fault(content: bytes) -> str | None:
    """Return which chunk does not match its check sum, or None.

    Compared here, because the decoder would report it on stderr and go on.
    """
    view = memoryview(content)
    for kind, start, end in _chunks(content):
        (stored,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(view[start - 4 : end]) != stored:
            name = kind.decode("latin-1")
            return f"is damaged: wrong check sum of chunk {name} at byte {start:,}"
        if kind == b"IEND":
            break
    return None


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first byte and end of the data of every chunk that is there as a whole."""
    position = SIGNATURE_BYTES
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        start, end = position + 8, position + 8 + length
        if end + 4 > len(content):
            return
        yield kind, start, end
        position = end + 4
