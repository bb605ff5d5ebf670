"""Whatever the caller calls an image, as one array (H, W, C) that the network can take."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from atrous.data.images import read_image
from atrous.errors import InputError

__all__ = ["open_image"]


def open_image(source: str | Path | np.ndarray | Image.Image, channels: int) -> np.ndarray:
    """Return (H, W, C) uint8, uint16 or float32 in [0, 1] with exactly `channels` channels.

    Args:
        source: A path, an array (H, W) or (H, W, C) in RGB order, or a PIL image.
        channels: What the network was made for; 1 and 3 convert into each other in files and
            PIL images, never in arrays.

    Raises:
        InputError: The file cannot be read, or shape, channels, dtype or values do not fit.
    """
    if isinstance(source, str | Path):
        return read_image(Path(source), channels)
    if isinstance(source, Image.Image):
        return _from_pil(source, channels)
    if isinstance(source, np.ndarray):
        return _checked(source, channels)
    raise InputError(
        f"an image came as {type(source).__name__}; give a path, a numpy array or a PIL image"
    )


def _from_pil(image: Image.Image, channels: int) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return _checked(np.asarray(image, np.uint16), channels)
    if channels in (1, 3):
        image = image.convert("L" if channels == 1 else "RGB")
    return _checked(np.asarray(image), channels)


def _checked(array: np.ndarray, channels: int) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"the image array has shape {array.shape}; give (H, W) or (H, W, C), nothing empty"
        )
    if array.shape[2] != channels:
        hint = "; the channels come last" if array.shape[0] == channels else ""
        raise InputError(
            f"the image array {array.shape} has {array.shape[2]} channel(s), but the model was "
            f"trained on {channels}{hint or '; convert it'}"
        )
    if array.dtype in (np.uint8, np.uint16):
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"the image array is {array.dtype}; give uint8, uint16, or float in 0..1")
    if not np.isfinite(array).all():
        raise InputError("the image array holds NaN or infinity; fill those pixels first")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        raise InputError(
            f"the image array is {array.dtype} with values from {low:g} to {high:g}; "
            "float images lie in 0..1, so scale it or give uint8"
        )
    return array.astype(np.float32, copy=False)
