"""The directories of a TIFF file (TIFF 6.0; BigTIFF), which EXIF blocks are made of too."""

import io
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

__all__ = ["Tags", "TiffPage", "exif_orientation", "read_tiff_pages"]

MAX_PAGES = 100
MAX_ENTRIES = 1_000
MAX_VALUES = 2**20  # strips or tiles of one page

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_BYTES, PLANAR = 273, 274, 277, 279, 284
PREDICTOR, TILE_WIDTH, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 317, 322, 324, 325, 339
LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type of a value -> struct letter
LOSSY = (6, 7, 33003, 33005, 34712, 50001)  # compressions: JPEG, JPEG 2000, WebP
INVERTED, PALETTE, CMYK = 0, 3, 5  # photometric interpretations

Tags = dict[int, tuple[int, ...]]
"""Tag -> its values, as far as they are whole numbers."""


@dataclass(frozen=True)
class TiffPage:
    """One directory and what it says about its picture.

    Attributes:
        tags: Its whole numbers; of pages after the first only those in the directory itself.
        offset: Where the directory stands in the file.
        order: Byte order as `struct` writes it, "<" or ">".
        big: Whether the file is a BigTIFF.
    """

    tags: Tags
    offset: int
    order: str
    big: bool

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def samples(self) -> int:
        """Return the number of samples a pixel as stored."""
        return self.first(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Return the bits of a sample."""
        return self.first(BITS, 1)

    @property
    def channels(self) -> int:
        """Return the channels of the array: palettes and CMYK become 3, the rest is kept."""
        return 3 if self.first(PHOTOMETRIC, 1) in (PALETTE, CMYK) else self.samples

    @property
    def orientation(self) -> int:
        """Return the orientation, 1..8."""
        value = self.first(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1

    @property
    def lossy(self) -> bool:
        """Return whether the compression changes values."""
        return self.first(COMPRESSION, 1) in LOSSY

    @property
    def parts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the offsets and the lengths in bytes of the strips or tiles."""
        offsets = self.tags.get(STRIP_OFFSETS) or self.tags.get(TILE_OFFSETS, ())
        return offsets, self.tags.get(STRIP_BYTES) or self.tags.get(TILE_BYTES, ())


def read_tiff_pages(file: BinaryIO) -> list[TiffPage]:
    """Return the pictures of a file; thumbnails, overviews and masks are left out.

    Raises:
        struct.error: The file ends inside a directory.
        ValueError: No page, or samples that are no whole numbers of 1..16 bits.
    """
    pages = [
        page
        for page in _directories(file)
        if not page.first(NEW_SUBFILE_TYPE, 0) & 0b101  # reduced copy, transparency mask
    ]
    if not pages:
        raise ValueError("is a TIFF without a picture")
    first = pages[0]
    tags, _ = _directory(file, first, distant=True)
    pages[0] = replace(first, tags=tags)
    _check(pages[0])
    return pages


def exif_orientation(block: bytes) -> int:
    """Return the orientation of an EXIF block, 1..8; 1 where it is missing or damaged."""
    try:
        return _directories(io.BytesIO(block))[0].orientation
    except (struct.error, ValueError, EOFError, IndexError):
        return 1


def _check(page: TiffPage) -> None:
    if not {WIDTH, HEIGHT} <= page.tags.keys():
        raise ValueError("is a TIFF that does not say its size")
    if page.first(SAMPLE_FORMAT, 1) not in (1, 4) or not 1 <= page.bits <= 16:
        raise ValueError(
            f"holds {page.bits}-bit samples that are signed, decimal or too wide; "
            "8 or 16 bit whole numbers from 0 on are needed"
        )


def _directories(file: BinaryIO) -> list[TiffPage]:
    """Follow the chain of directories, at most `MAX_PAGES` and never in a circle.

    Only the values that stand in the directory itself are read: a hostile file could let a
    hundred directories share one list of a million numbers.
    """
    start = _read(file, 0, 16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        raise ValueError("is no TIFF")
    big = struct.unpack_from(order + "H", start, 2)[0] == 43
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
    found: dict[int, TiffPage] = {}
    while offset and offset not in found and len(found) < MAX_PAGES:
        page = TiffPage({}, offset, order, big)
        tags, following = _directory(file, page, distant=False)
        found[offset] = replace(page, tags=tags)
        offset = following
    return list(found.values())


def _directory(file: BinaryIO, page: TiffPage, *, distant: bool) -> tuple[Tags, int]:
    """Return the tags with whole numbers of one directory, and where the next one is.

    Args:
        file: The file.
        page: Where the directory stands and how to read it.
        distant: Whether to read the values that stand elsewhere too.
    """
    order, big = page.order, page.big
    head, entry_bytes, word = (8, 20, "Q") if big else (2, 12, "I")
    (count,) = struct.unpack(order + ("Q" if big else "H"), _read(file, page.offset, head))
    if count > MAX_ENTRIES:
        raise ValueError(f"is a TIFF with {count:,} tags, more than {MAX_ENTRIES:,}")
    entries = _read(file, page.offset + head, count * entry_bytes)
    end = _read(file, page.offset + head + count * entry_bytes, 8 if big else 4)
    following = struct.unpack(order + word, end)[0] if end else 0  # EXIF writers leave it out
    tags: Tags = {}
    for start in range(0, count * entry_bytes, entry_bytes):
        tag, kind, number = struct.unpack_from(order + "HH" + word, entries, start)
        if kind not in LETTERS or not 1 <= number <= MAX_VALUES:
            continue
        layout, place = f"{order}{number}{LETTERS[kind]}", start + (12 if big else 8)
        length = struct.calcsize(layout)
        if length <= (8 if big else 4):
            tags[tag] = struct.unpack_from(layout, entries, place)
        elif distant:
            (where,) = struct.unpack_from(order + word, entries, place)
            tags[tag] = struct.unpack(layout, _read(file, where, length))
    return tags, following


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    """Read from `start`; nothing where no file reaches."""
    if start >= 2**62:
        raise EOFError
    file.seek(start)
    return file.read(length)
