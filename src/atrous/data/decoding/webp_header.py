"""The chunks of a WebP file before its pixels (RFC 9649)."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from atrous.data.decoding.tiff_header import exif_orientation

__all__ = ["WebpHeader", "read_webp_header"]

MAX_CHUNKS = 1_000
MAX_EXIF_BYTES = 2**16
FIRST_CHUNK, ANIMATED, WITH_EXIF = 12, 0x02, 0x08


@dataclass(frozen=True)
class WebpHeader:
    """Size, kind and orientation.

    Attributes:
        width: Columns as stored.
        height: Rows as stored.
        lossy: False only where the whole file is one lossless picture.
        animated: Whether there are several pictures.
        orientation: EXIF orientation 1..8.
    """

    width: int
    height: int
    lossy: bool
    animated: bool = False
    orientation: int = 1


def read_webp_header(file: BinaryIO) -> WebpHeader:
    """Read the first chunk: VP8 (lossy), VP8L (lossless) or VP8X (extended).

    Raises:
        struct.error: The file ends before the size.
        ValueError: The first chunk is of another kind.
    """
    file.seek(FIRST_CHUNK)
    start = file.read(18)
    kind = start[:4]
    if kind == b"VP8L":
        (word,) = struct.unpack_from("<I", start, 9)
        return WebpHeader(1 + (word & 0x3FFF), 1 + (word >> 14 & 0x3FFF), lossy=False)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", start, 14)
        return WebpHeader(width & 0x3FFF, height & 0x3FFF, lossy=True)
    if kind != b"VP8X":
        raise ValueError("is a WebP without a picture")
    flags, *_ = struct.unpack_from("<B", start, 8)
    wide, high = start[12:15], start[15:18]
    if len(high) < 3:
        raise EOFError
    kinds, orientation = _walk(file, with_exif=bool(flags & WITH_EXIF))
    return WebpHeader(
        1 + int.from_bytes(wide, "little"),
        1 + int.from_bytes(high, "little"),
        lossy=b"VP8L" not in kinds,
        animated=bool(flags & ANIMATED),
        orientation=orientation,
    )


def _walk(file: BinaryIO, *, with_exif: bool) -> tuple[set[bytes], int]:
    """Return the kinds of the chunks, and the orientation: EXIF follows the pixels."""
    kinds: set[bytes] = set()
    orientation, position = 1, FIRST_CHUNK
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = struct.unpack("<4sI", head)
        kinds.add(kind)
        if kind == b"EXIF" and with_exif and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(file.read(length).removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    return kinds, orientation
