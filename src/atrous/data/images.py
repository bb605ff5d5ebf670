"""Image files as arrays: RGB order, upright, the file's own depth and number of channels."""

from pathlib import Path

import cv2
import numpy as np

from atrous.data.findings import FileFault
from atrous.data.headers import MAX_PIXELS, ImageHeader, judge_header
from atrous.data.jpeg_header import jpeg_is_whole
from atrous.data.png_header import png_fault

__all__ = ["MAX_PIXELS", "ImageHeader", "check_whole", "judge_header", "read_image", "upright"]


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
        FileFault: The header is refused, the file is truncated or damaged, or it has another
            number of channels.
    """
    path = Path(path)
    header = judge_header(path)
    content = path.read_bytes()
    check_whole(path, header, content)
    wanted = channels or header.channels
    if wanted != header.channels and not {wanted, header.channels} <= {1, 3}:
        raise FileFault(
            path,
            f"has {header.channels} channel(s), but {wanted} are needed",
            "give images with the channels the network was made for",
        )
    image = _decode(content, header, wanted)
    if image is None:
        raise FileFault(
            path, f"is damaged: its {header.format} pixels cannot be decoded", "copy it again"
        )
    return upright(image, header.orientation)


def check_whole(path: Path, header: ImageHeader, content: bytes) -> None:
    """Refuse a file whose end is missing, which a decoder might fill with grey in silence.

    Raises:
        FileFault: It is truncated, or a check sum of a PNG is wrong.
    """
    what = None
    if header.format == "PNG":
        what = png_fault(content)
    elif header.format == "JPEG" and not jpeg_is_whole(content):
        what = f"is truncated: it ends after {len(content):,} bytes, before its pixels do"
    if what is not None:
        raise FileFault(path, what, "copy it again")


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
    flags = cv2.IMREAD_UNCHANGED
    if channels in (1, 3):
        colour = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
        flags = colour | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    level = cv2.utils.logging.setLogLevel(0)  # a damaged file is told by us, once
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        return None
    image = image.reshape(*image.shape[:2], -1)
    if image.shape[2] != channels:
        return None
    return image[..., [2, 1, 0, 3]] if channels == 4 else image
