"""Whether a file is complete: a decoder may fill what is missing with grey and say nothing."""

from pathlib import Path

from atrous.data.decoding.headers import ImageHeader
from atrous.data.decoding.jpeg_header import jpeg_is_whole
from atrous.data.decoding.png_header import png_checksum_fault, png_is_whole
from atrous.data.decoding.tiff_pixels import tiff_is_whole
from atrous.data.findings import FileError

__all__ = ["check_whole"]


def check_whole(path: Path, header: ImageHeader, content: bytes) -> None:
    """Refuse a file whose end is missing, without decoding it.

    Args:
        path: Names the file in messages.
        header: Its judged header.
        content: All of its bytes.

    Raises:
        FileError: It is truncated, or a check sum of a PNG is wrong.
    """
    if not _is_whole(header, content):
        raise FileError(
            path,
            f"is truncated: it ends after {len(content):,} bytes, before its pixels do",
            "copy it again",
        )
    fault = png_checksum_fault(content) if header.format == "PNG" else None
    if fault is not None:
        raise FileError(path, fault, "copy it again")


def _is_whole(header: ImageHeader, content: bytes) -> bool:
    match header.format:
        case "PNG":
            return png_is_whole(content)
        case "JPEG":
            return jpeg_is_whole(content)
        case "TIFF":
            return tiff_is_whole(content)
        case "WebP":  # the RIFF chunk tells its length
            return len(content) >= 8 + int.from_bytes(content[4:8], "little")
        case _:
            return _bmp_is_whole(header, content)


def _bmp_is_whole(header: ImageHeader, content: bytes) -> bool:
    """Compare with the place and the size of uncompressed pixels."""
    begin, info = (int.from_bytes(content[at : at + 4], "little") for at in (10, 14))
    if info > 12 and any(content[30:34]):  # run lengths: the size is not known
        return True
    at = 24 if info == 12 else 28
    depth = int.from_bytes(content[at : at + 2], "little")
    row_bytes = (header.width * depth + 31) // 32 * 4
    return len(content) >= begin + row_bytes * header.height
