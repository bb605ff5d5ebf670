"""Image files as arrays: RGB order, upright, the file's own depth and number of channels."""

from pathlib import Path

import cv2
import numpy as np

from atrous.data.decoding.decoder_log import quiet_decoder
from atrous.data.decoding.headers import MAX_PIXELS, ImageHeader, judge_header
from atrous.data.decoding.tiff_pixels import decode_tiff_bands, first_page_alone
from atrous.data.decoding.truncation import check_whole
from atrous.data.findings import FileError

__all__ = ["MAX_PIXELS", "ImageHeader", "decode_image", "judge_header", "read_image", "upright"]


def read_image(path: Path, channels: int | None = None) -> np.ndarray:
    """Return the image at `path` as it should be seen.

    Alpha of a PNG is left out, a palette and CMYK become RGB, EXIF rotation is applied. Every
    band of a TIFF is kept, the fourth too: there it is more often infrared than alpha.

    Args:
        path: A JPEG, PNG, TIFF, BMP or WebP file.
        channels: Wanted channels; grey and colour are converted into each other (BT.601), any
            other number must be the file's own. None keeps the file's.

    Returns:
        (H, W, C) uint8 or uint16, RGB order.

    Raises:
        FileError: The header is refused, the file is truncated or damaged, or it has another
            number of channels.
    """
    path = Path(path)
    header = judge_header(path)
    return decode_image(path, header, path.read_bytes(), channels)


def decode_image(
    path: Path, header: ImageHeader, content: bytes, channels: int | None = None
) -> np.ndarray:
    """Return the image in `content`, whose header has been judged, as `read_image` does.

    Raises:
        FileError: As `read_image`.
    """
    check_whole(path, header, content)
    wanted = channels or header.channels
    if wanted != header.channels and not {wanted, header.channels} <= {1, 3}:
        raise FileError(
            path,
            f"has {header.channels} channel(s), but {wanted} are needed",
            "give images with the channels the network was made for",
        )
    with quiet_decoder():
        image = _decode(content, header, wanted)
    if image is None or image.shape[2] != wanted:
        raise FileError(
            path,
            f"cannot be decoded: its {header.format} pixels are damaged or of a rare kind",
            "copy it again, or save it as PNG or as a TIFF with LZW compression",
        )
    return upright(image, header.orientation)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation (EXIF 2.3, tag 0x0112) of (H, W) or (H, W, C) pixels."""
    if orientation >= 5:  # rows of the picture are columns of the file
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode(content: bytes, header: ImageHeader, channels: int) -> np.ndarray | None:
    """Decode to (H, W, C) as stored; None where OpenCV cannot."""
    if header.format == "TIFF":
        bands = decode_tiff_bands(content)
        if bands is not None:
            return _converted(bands, channels)
        content = first_page_alone(content)
    colour = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
    flags = colour | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else image.reshape(*image.shape[:2], -1)


def _converted(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Make grey of colour or colour of grey; leave any other number of channels."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
