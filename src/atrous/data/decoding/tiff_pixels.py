"""The pixels of a TIFF with any number of bands.

OpenCV decodes at most four bands, and some layouts of them wrongly and in silence (5.0: 16 bit in
separate planes, the channel order of 16-bit RGB, alpha multiplied in). But every compression is a
matter of bytes, not of bands: the file gets one more directory that describes the same strips as
a grey picture, the bands side by side or one at a time. That, every version decodes rightly.
"""

import io
import struct

import cv2
import numpy as np

from atrous.data.decoding.tiff_header import (
    BITS,
    COMPRESSION,
    HEIGHT,
    INVERTED,
    ORIENTATION,
    PALETTE,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    Tags,
    TiffPage,
    read_tiff_pages,
)

__all__ = ["decode_tiff_bands", "first_page_alone", "tiff_is_whole", "tiff_palette"]

ROWS_PER_STRIP, TILE_HEIGHT, FILL_ORDER, COLOUR_MAP = 278, 323, 266, 320
KEPT = (WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, ROWS_PER_STRIP, TILE_WIDTH, TILE_HEIGHT)
RGB, SEPARATE, DIFFERENCES = 2, 2, 2  # photometric, planar configuration, predictor
JPEG = (6, 7)


def decode_tiff_bands(content: bytes, *, indices: bool = False) -> np.ndarray | None:
    """Return (H, W, C) uint8 or uint16 as stored, C = every band.

    Args:
        content: The file.
        indices: Whether a palette counts as a band, of indices.

    Returns:
        None for what is no plain stack of bands (palette, CMYK, JPEG inside, fewer than 8 bits)
        and for what cannot be decoded.
    """
    page = read_tiff_pages(io.BytesIO(content))[0]
    kind = page.first(PHOTOMETRIC, 1)
    plain = kind <= RGB or (indices and kind == PALETTE)
    if not plain or page.first(COMPRESSION, 1) in JPEG or page.bits not in (8, 16):
        return None
    separate = page.samples > 1 and page.first(PLANAR, 1) == SEPARATE
    pixels = _planes(content, page) if separate else _interleaved(content, page)
    if pixels is not None and kind == INVERTED:
        pixels = ~pixels
    return pixels


def tiff_palette(content: bytes) -> list[int]:
    """Return red, green, blue of index 0, of index 1, ... in 0..255; empty without a palette."""
    page = read_tiff_pages(io.BytesIO(content))[0]
    levels = np.array(page.tags.get(COLOUR_MAP, ()), np.int64) >> 8  # all reds, greens, blues
    return levels.reshape(3, -1).T.ravel().tolist() if len(levels) % 3 == 0 else []


def first_page_alone(content: bytes) -> bytes:
    """Return the file with its first picture in front of any thumbnail, marked upright.

    Decoders differ in whether they turn a TIFF by its orientation; so none is left to turn by.
    """
    page = read_tiff_pages(io.BytesIO(content))[0]
    patched = bytearray(_pointing_to(content, page, page.offset))
    head, entry_bytes, word = (8, 20, "Q") if page.big else (2, 12, "I")
    (count,) = struct.unpack_from(page.order + ("Q" if page.big else "H"), patched, page.offset)
    for number in range(count):
        entry = page.offset + head + number * entry_bytes
        if struct.unpack_from(page.order + "H", patched, entry)[0] == ORIENTATION:
            struct.pack_into(f"{page.order}HH{word}H", patched, entry, ORIENTATION, 3, 1, 1)
    return bytes(patched)


def tiff_is_whole(content: bytes) -> bool:
    """Return whether every strip or tile of the first picture lies inside the file."""
    offsets, lengths = read_tiff_pages(io.BytesIO(content))[0].parts
    return bool(offsets) and all(
        offset + length <= len(content) for offset, length in zip(offsets, lengths, strict=False)
    )


def _interleaved(content: bytes, page: TiffPage) -> np.ndarray | None:
    """Decode bands that alternate in a row: as one picture that is C times as wide."""
    tags = _grey_tags(page)
    for tag in (WIDTH, TILE_WIDTH):
        if tag in tags:
            tags[tag] = (tags[tag][0] * page.samples,)
    wide = _decode(_with_page(content, page, tags))
    if wide is None:
        return None
    pixels = wide.reshape(len(wide), -1, page.samples)
    if page.first(PREDICTOR, 1) == DIFFERENCES:  # to the pixel on the left, band by band
        step = page.first(TILE_WIDTH, pixels.shape[1])
        for left in range(0, pixels.shape[1], step):
            part = pixels[:, left : left + step]
            np.cumsum(part, axis=1, dtype=pixels.dtype, out=part)
    return pixels


def _planes(content: bytes, page: TiffPage) -> np.ndarray | None:
    """Decode bands that follow each other: each as its own picture."""
    offsets, lengths = page.parts
    count = len(offsets) // page.samples
    planes = []
    for band in range(page.samples):
        tags = _grey_tags(page)
        part = slice(band * count, (band + 1) * count)
        tiled = TILE_OFFSETS in page.tags
        tags[TILE_OFFSETS if tiled else STRIP_OFFSETS] = offsets[part]
        tags[TILE_BYTES if tiled else STRIP_BYTES] = lengths[part]
        tags[PREDICTOR] = (page.first(PREDICTOR, 1),)
        plane = _decode(_with_page(content, page, tags))
        if plane is None:
            return None
        planes.append(plane)
    return np.stack(planes, axis=-1)


def _grey_tags(page: TiffPage) -> Tags:
    """Return a directory of one band over the same strips or tiles, without a predictor."""
    shared = (*KEPT, STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES)
    tags = {tag: page.tags[tag] for tag in shared if tag in page.tags}
    return tags | {BITS: (page.bits,), PHOTOMETRIC: (1,), SAMPLES: (1,)}


def _with_page(content: bytes, page: TiffPage, tags: Tags) -> bytes:
    """Return the file with one more directory behind its end, and that one in front."""
    kind, letter, room = (16, "Q", 8) if page.big else (4, "I", 4)
    start = len(content) + len(content) % 2
    head = struct.pack(page.order + ("Q" if page.big else "H"), len(tags))
    after = start + len(head) + len(tags) * (20 if page.big else 12) + room
    entries, beyond = b"", b""
    for tag, values in sorted(tags.items()):
        block = struct.pack(f"{page.order}{len(values)}{letter}", *values)
        if len(block) > room:
            block, beyond = struct.pack(page.order + letter, after + len(beyond)), beyond + block
        entries += struct.pack(f"{page.order}HH{letter}", tag, kind, len(values)) + block
    padding = b"\0" * (start - len(content))
    directory = head + entries + b"\0" * room + beyond
    return _pointing_to(content, page, start) + padding + directory


def _pointing_to(content: bytes, page: TiffPage, offset: int) -> bytes:
    """Return the file with the directory at `offset` as its first."""
    start, letter = (8, "Q") if page.big else (4, "I")
    pointer = struct.pack(page.order + letter, offset)
    return content[:start] + pointer + content[start + len(pointer) :]


def _decode(content: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
