"""The segments of a JPEG file before its pixels (ITU-T T.81, Annex B)."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from atrous.data.decoding.tiff_header import exif_orientation

__all__ = ["JpegFrame", "jpeg_is_whole", "read_jpeg_header"]

MAX_SEGMENTS = 10_000  # a photo has some ten; a hostile file could hold millions
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # T.81, Table B.1
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, b"\xff\xd9"


@dataclass(frozen=True)
class JpegFrame:
    """The frame header, and the EXIF orientation if one came before it.

    Attributes:
        width: Columns as stored, before any rotation.
        height: Rows as stored.
        components: 1 grey, 3 colour, 4 CMYK.
        precision: Bits per sample, 8 or 12.
        orientation: EXIF orientation 1..8.
    """

    width: int
    height: int
    components: int
    precision: int
    orientation: int


def read_jpeg_header(file: BinaryIO) -> JpegFrame:
    """Walk the segments up to the frame header.

    Raises:
        EOFError: The file ends before it.
        ValueError: It is no JPEG that can be decoded; the message says why.
    """
    orientation = 1
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(file)
        if marker in START_OF_FRAME:
            _, precision, height, width, components = struct.unpack(">HBHHB", file.read(8))
            if precision != 8:
                raise ValueError(f"is a JPEG of {precision} bits, but only 8 are read")
            return JpegFrame(width, height, components, precision, orientation)
        if marker == START_OF_SCAN:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stand alone, without a length
            continue
        length = struct.unpack(">H", file.read(2))[0] - 2
        if marker == APP1:
            orientation = max(orientation, _orientation(file.read(length)))
        else:
            file.seek(length, 1)
    raise ValueError("is a JPEG without a frame header")


def jpeg_is_whole(content: bytes) -> bool:
    """Return whether the end marker follows the pixels.

    Behind it some cameras put a second picture or a trailer; both are fine.
    """
    position = 2
    while content[position : position + 1] == b"\xff" and position + 4 <= len(content):
        marker = content[position + 1]
        if marker == START_OF_SCAN:
            # Inside the pixels 0xFF is always followed by 0x00 or a restart marker.
            return content.find(END_OF_IMAGE, position) >= 0
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False


def _next_marker(file: BinaryIO) -> int:
    byte = file.read(1)
    while byte not in (b"\xff", b""):
        byte = file.read(1)
    while byte == b"\xff":
        byte = file.read(1)
    if not byte:
        raise EOFError
    return byte[0]


def _orientation(segment: bytes) -> int:
    return exif_orientation(segment[6:]) if segment.startswith(b"Exif\0\0") else 1
