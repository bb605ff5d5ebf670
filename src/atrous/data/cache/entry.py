"""One decoded pair as bytes: a header of 64, the image, the labels.

The header says which files the pixels came from (`key`), their shape and their checksum. Whoever
finds an entry that another process is still writing, or that a power cut left half on the disk,
sees a wrong checksum and decodes the files again; no lock is needed.
"""

import struct
import zlib

import numpy as np

__all__ = ["HEADER_BYTES", "KEY_BYTES", "entry_bytes", "pack", "unpack"]

KEY_BYTES = 16

HEADER_BYTES = 64
"""The pixels begin at a cache line, whatever holds the entry."""

_FIELDS = struct.Struct(f"<8s{KEY_BYTES}s5I")  # magic, key, height, width, channels, depth, sum
_MAGIC = b"atrous\0\1"
_DEPTHS = {1: np.uint8, 2: np.uint16}


def entry_bytes(pixels: int, channels: int, depth: int) -> int:
    """Return the bytes of an entry whose image has `depth` bytes per value."""
    return HEADER_BYTES + pixels * (channels * depth + 1)


def pack(key: bytes, image: np.ndarray, labels: np.ndarray) -> bytes:
    """Return the entry of an image (H, W, C) uint8 or uint16 and its labels (H, W) uint8.

    Args:
        key: 16 bytes that tell which files these are.
        image: (H, W, C), in this machine's byte order.
        labels: (H, W).
    """
    pixels = np.ascontiguousarray(image).tobytes() + np.ascontiguousarray(labels).tobytes()
    height, width, channels = image.shape
    depth, checksum = image.dtype.itemsize, zlib.crc32(pixels)
    header = _FIELDS.pack(_MAGIC, key, height, width, channels, depth, checksum)
    return header.ljust(HEADER_BYTES, b"\0") + pixels


def unpack(
    content: np.ndarray, key: bytes, *, is_checked: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return image and labels as read-only views of an entry; None if it is not whole or another's.

    Args:
        content: (bytes,) uint8.
        key: What the entry must have been packed with.
        is_checked: Whether its checksum has been compared before.
    """
    if len(content) < HEADER_BYTES:
        return None
    fields = _FIELDS.unpack(content[: _FIELDS.size].tobytes())
    magic, owner, height, width, channels, depth, checksum = fields
    if magic != _MAGIC or owner != key or depth not in _DEPTHS:
        return None
    image_end = HEADER_BYTES + height * width * channels * depth
    if len(content) != image_end + height * width:
        return None
    if not is_checked and zlib.crc32(content[HEADER_BYTES:].data) != checksum:
        return None
    image = content[HEADER_BYTES:image_end].view(_DEPTHS[depth]).reshape(height, width, channels)
    labels = content[image_end:].reshape(height, width)
    image.flags.writeable = labels.flags.writeable = False
    return image, labels
