"""The directories of a TIFF file (TIFF 6.0; BigTIFF), which EXIF blocks are made of too."""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["TiffPage", "exif_orientation", "read_tiff_pages"]

MAX_PAGES = 1_000
MAX_ENTRIES = 4_096
MAX_VALUES = 2**20  # strips or tiles of one page that are looked at

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 256, 257, 258, 259
PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_BYTES = 262, 273, 274, 277, 279
TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 324, 325, 339
SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type -> struct letter; the others are not needed
LOSSY = (6, 7, 33003, 33005, 34712, 50001)  # JPEG, JPEG 2000, WebP
PALETTE, CMYK = 3, 5

Tags = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class TiffPage:
    """What one directory says about its picture.

    Attributes:
        width: Columns as stored.
        height: Rows as stored.
        samples: Samples per pixel as stored.
        channels: As an array: a palette or CMYK becomes 3, everything else is kept.
        bits: Per sample.
        orientation: 1..8.
        palette: Whether pixels are indices into a colour map.
        lossy: Whether the compression changes values.
        end: First byte behind the last strip or tile.
    """

    width: int
    height: int
    samples: int
    channels: int
    bits: int
    orientation: int
    palette: bool
    lossy: bool
    end: int


def read_tiff_pages(file: BinaryIO) -> list[TiffPage]:
    """Return the pictures of a file; thumbnails, overviews and masks are left out.

    Raises:
        struct.error: The file ends inside a directory.
        ValueError: No page, or samples that are no 1..16 bit integers.
    """
    pages = []
    for tags in _directories(file):
        if tags.get(NEW_SUBFILE_TYPE, (0,))[0] & 0b101:  # reduced copy or transparency mask
            continue
        pages.append(_page(tags))
    if not pages:
        raise ValueError("is a TIFF without a picture")
    return pages


def exif_orientation(block: bytes) -> int:
    """Return the orientation of an EXIF block, 1..8; 1 where it is missing or damaged."""
    try:
        for tags in _directories(io.BytesIO(block)):
            value = tags.get(ORIENTATION, (1,))[0]
            return value if 1 <= value <= 8 else 1
    except (struct.error, ValueError):
        pass
    return 1


def _page(tags: Tags) -> TiffPage:
    if WIDTH not in tags or HEIGHT not in tags:
        raise ValueError("is a TIFF that does not say its size")
    bits = tags.get(BITS, (1,))[0]
    if tags.get(SAMPLE_FORMAT, (1,))[0] not in (1, 4) or bits > 16:
        raise ValueError(
            f"holds {bits}-bit or signed or decimal samples, but 8 or 16 bit "
            "whole numbers from 0 on are needed"
        )
    samples = tags.get(SAMPLES, (1,))[0]
    photometric = tags.get(PHOTOMETRIC, (1,))[0]
    orientation = tags.get(ORIENTATION, (1,))[0]
    offsets = tags.get(STRIP_OFFSETS) or tags.get(TILE_OFFSETS) or (0,)
    lengths = tags.get(STRIP_BYTES) or tags.get(TILE_BYTES) or (0,)
    return TiffPage(
        width=tags[WIDTH][0],
        height=tags[HEIGHT][0],
        samples=samples,
        channels=3 if photometric in (PALETTE, CMYK) else samples,
        bits=bits,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        palette=photometric == PALETTE,
        lossy=tags.get(COMPRESSION, (1,))[0] in LOSSY,
        end=max(offset + length for offset, length in zip(offsets, lengths, strict=False)),
    )


def _directories(file: BinaryIO) -> list[Tags]:
    """Follow the chain of directories, at most `MAX_PAGES` and never in a circle."""
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        raise ValueError("is no TIFF")
    big = struct.unpack_from(order + "H", start, 2)[0] == 43
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
    found: dict[int, Tags] = {}
    while offset and offset not in found and len(found) < MAX_PAGES:
        at = offset
        found[at], offset = _directory(file, at, order, big=big)
    return list(found.values())


def _directory(file: BinaryIO, at: int, order: str, *, big: bool) -> tuple[Tags, int]:
    """Return the tags with whole numbers of one directory, and where the next one is."""
    count_letter, entry_bytes, word = ("Q", 20, "Q") if big else ("H", 12, "I")
    file.seek(at)
    (count,) = struct.unpack(order + count_letter, file.read(8 if big else 2))
    if count > MAX_ENTRIES:
        raise ValueError(f"is a TIFF with {count:,} tags, more than {MAX_ENTRIES:,}")
    entries = file.read(count * entry_bytes)
    (following,) = struct.unpack(order + word, file.read(8 if big else 4))
    tags: Tags = {}
    for start in range(0, count * entry_bytes, entry_bytes):
        tag, kind, number = struct.unpack_from(order + "HH" + word, entries, start)
        if kind in SIZES and 1 <= number <= MAX_VALUES:
            place = start + (12 if big else 8)
            tags[tag] = _values(file, entries, place, order, (SIZES[kind], number, big))
    return tags, following


def _values(
    file: BinaryIO, entries: bytes, place: int, order: str, shape: tuple[str, int, bool]
) -> tuple[int, ...]:
    """Unpack values that stand in the entry itself or, if too long for it, elsewhere."""
    letter, number, big = shape
    layout = f"{order}{number}{letter}"
    if struct.calcsize(layout) <= (8 if big else 4):
        return struct.unpack_from(layout, entries, place)
    (where,) = struct.unpack_from(order + ("Q" if big else "I"), entries, place)
    file.seek(where)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
