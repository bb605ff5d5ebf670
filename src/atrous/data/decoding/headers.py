"""The header of an image file, judged by us before any decoder sees the file.

A decoder believes what a header says and reserves the memory for it: OpenCV spent 13 s and 5 GB
on a PNG of 109 kB. Here the signature tells the format (never the file's name), a few hundred
bytes tell the size, and what is too large or is no image goes no further.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from atrous.data.decoding.jpeg_header import read_jpeg_header
from atrous.data.decoding.png_header import read_png_header
from atrous.data.decoding.tiff_header import HEIGHT, WIDTH, read_tiff_pages
from atrous.data.decoding.webp_header import read_webp_header
from atrous.data.findings import FileError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageHeader", "judge_file", "judge_header"]

MAX_PIXELS = 2**28
"""Most pixels of one image: 16 384 x 16 384."""

MAX_BYTES = 2**32
"""Most bytes of one file, and of one decoded image with all its channels."""

NEEDED = "a JPEG, PNG, TIFF, BMP or WebP is needed"


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about itself, and what `read_image` will return for it.

    Attributes:
        format: "JPEG", "PNG", "TIFF", "BMP" or "WebP".
        width: Columns as shown, that is after the EXIF rotation.
        height: Rows as shown.
        channels: Channels of the array: palettes count as 3, alpha of PNG and WebP as none.
        bits: Per channel in the file.
        frames: Pictures in the file (pages, animation); reduced copies do not count.
        orientation: EXIF orientation 1..8; 1 is upright.
        lossy: Whether values are only kept approximately, as JPEG does.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    frames: int = 1
    orientation: int = 1
    lossy: bool = False


def judge_header(path: Path) -> ImageHeader:
    """Return the header of the image at `path`, reading only that.

    Raises:
        FileError: Missing, a directory, empty, no image of a format that is read, several
            pictures in one file, or more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise FileError(path, "does not exist", "check the path")
        if path.is_dir():
            raise FileError(path, "is a directory, not an image", "move it away or give its files")
        if not path.is_file():  # a pipe would keep us waiting
            raise FileError(path, "is no regular file", "copy its content into one")
        with path.open("rb") as file:
            return judge_file(path, file)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise FileError(path, what, "check its permissions and the disk") from error


def judge_file(path: Path, file: BinaryIO) -> ImageHeader:
    """Return the header of an open file; `path` only names it in messages.

    Raises:
        FileError: As `judge_header`.
    """
    size = file.seek(0, 2)
    if size == 0:
        raise FileError(path, "has 0 bytes", "copy it again")
    file.seek(0)
    try:
        header = _reader(path, file.read(32))(file)
    except (struct.error, EOFError):
        raise FileError(
            path, f"ends after {size:,} bytes, inside its header", "copy it again"
        ) from None
    except FileError:  # a ValueError, too
        raise
    except ValueError as error:
        raise FileError(path, str(error), "save it again as PNG") from None
    _check_limits(path, header, size)
    return header


def _reader(path: Path, start: bytes) -> Callable[[BinaryIO], ImageHeader]:
    """Choose the parser by the file's first bytes."""
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff
    if start.startswith(b"BM"):
        return _bmp
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return _webp
    for signature, offset, name in _FOREIGN:
        if start[offset:].startswith(signature):
            raise FileError(path, f"is {name}, which is not read here", f"{NEEDED}; save it as PNG")
    raise FileError(path, "is no image (unknown first bytes)", NEEDED)


_FOREIGN = (
    (b"GIF8", 0, "a GIF"),
    (b"ftyp", 4, "a HEIC, AVIF or video file"),
    (b"%PDF", 0, "a PDF"),
    (b"PK\x03\x04", 0, "a zip archive"),
    (b"\x93NUMPY", 0, "a NumPy array"),
    (b"\0\0\0\x0cjP  ", 0, "a JPEG 2000"),
    (b"version https://git-lfs", 0, "a Git LFS pointer (run `git lfs pull`)"),
    (b"<", 0, "a text file (HTML, XML or SVG)"),
    (b"{", 0, "a text file (JSON)"),
)


def _check_limits(path: Path, header: ImageHeader, size: int) -> None:
    """Refuse what no decoder should be given."""
    width, height = header.width, header.height
    if width < 1 or height < 1:
        raise FileError(path, f"is {width} x {height} pixels", "save it again")
    decoded = width * height * header.channels * max(1, header.bits // 8)
    if width * height > MAX_PIXELS or decoded > MAX_BYTES:
        raise FileError(
            path,
            f"is {width:,} x {height:,} pixels with {header.channels} channel(s); at most "
            f"{MAX_PIXELS:,} pixels and {MAX_BYTES:,} bytes are decoded",
            "cut it into tiles",
        )
    if size > MAX_BYTES:
        raise FileError(path, f"has {size:,} bytes, more than {MAX_BYTES:,}", "cut it into tiles")
    if header.frames > 1:
        raise FileError(path, "holds several pictures", "save each as its own file")


def _jpeg(file: BinaryIO) -> ImageHeader:
    frame = read_jpeg_header(file)
    channels = 1 if frame.components == 1 else 3  # CMYK becomes RGB
    return _turned(
        "JPEG",
        frame.width,
        frame.height,
        channels,
        frame.precision,
        orientation=frame.orientation,
        lossy=True,
    )


def _png(file: BinaryIO) -> ImageHeader:
    png = read_png_header(file)
    return _turned(
        "PNG",
        png.width,
        png.height,
        png.channels,
        png.bits,
        frames=png.frames,
        orientation=png.orientation,
    )


def _tiff(file: BinaryIO) -> ImageHeader:
    pages = read_tiff_pages(file)
    page = pages[0]
    (width,), (height,) = page.tags[WIDTH], page.tags[HEIGHT]
    return _turned(
        "TIFF",
        width,
        height,
        page.channels,
        page.bits,
        frames=len(pages),
        orientation=page.orientation,
        lossy=page.lossy,
    )


def _turned(
    format_: str,
    width: int,
    height: int,
    channels: int,
    bits: int,
    *,
    frames: int = 1,
    orientation: int = 1,
    lossy: bool = False,
) -> ImageHeader:
    """Swap width and height where the EXIF orientation lays the picture on its side."""
    if orientation >= 5:
        width, height = height, width
    return ImageHeader(format_, width, height, channels, bits, frames, orientation, lossy)


def _bmp(file: BinaryIO) -> ImageHeader:
    """Read the size from the BITMAPINFOHEADER (or the 12-byte OS/2 one)."""
    file.seek(14)
    start = file.read(16)
    (length,) = struct.unpack_from("<I", start)
    if length == 12:
        width, height = struct.unpack_from("<HH", start, 4)
    else:
        width, height = struct.unpack_from("<ii", start, 4)
    return ImageHeader("BMP", width, abs(height), 3, 8)


def _webp(file: BinaryIO) -> ImageHeader:
    webp = read_webp_header(file)
    return _turned(
        "WebP",
        webp.width,
        webp.height,
        3,
        8,
        frames=2 if webp.animated else 1,
        orientation=webp.orientation,
        lossy=webp.lossy,
    )
