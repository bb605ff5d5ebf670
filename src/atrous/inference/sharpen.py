"""Any mask, sharpened along the borders that its image shows; it keeps its own form."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atrous.crf import Appearance, DenseCRF
from atrous.crf.inputs import label_probabilities
from atrous.data.images import read_image
from atrous.data.masks import RawMask, read_mask
from atrous.errors import InputError
from atrous.files import write_bytes
from atrous.inference.segmentation import to_rgb
from atrous.inference.sharpen_config import SharpenConfig
from atrous.inference.tiling import TILE, WHOLE_PIXELS, tiled
from atrous.labels import VOID

__all__ = ["Sharpened", "classes_of", "sharpen", "sharpen_labels"]

MOST_CLASSES = 64
"""A mask with more different values is no map of classes: a photo, or a blurred mask."""


@dataclass(frozen=True)
class Sharpened:
    """How a mask was sharpened.

    Attributes:
        path: The new mask.
        crf: What sharpened it.
        values: The classes' numbers or colours in the mask, ascending.
        changed: Share of the pixels with a class that have another one now.
        filled: Void pixels that have a class now.
    """

    path: Path
    crf: DenseCRF
    values: tuple[int, ...]
    changed: float
    filled: int


def sharpen(config: SharpenConfig) -> Sharpened:
    """Sharpen what `config` names.

    Raises:
        InputError: A file that cannot be read, sizes that differ, a mask of one class or of too
            many, or an output that exists.
    """
    out = config.out or config.mask.with_name(f"{config.mask.stem}-crf.png")
    if out.exists():
        raise InputError(f"{out} exists; name another file with --out, or remove it")
    raw, image = read_mask(config.mask), read_image(config.image)
    if raw.values.shape != image.shape[:2]:
        (height, width), (rows, columns) = image.shape[:2], raw.values.shape
        raise InputError(
            f"{config.mask} is {columns}x{rows}, but {config.image} is {width}x{height}; "
            "give the mask of this image, or resize it with nearest neighbour"
        )
    most = 0xFFFFFF if raw.coloured else np.iinfo(raw.values.dtype).max
    if config.void is not None and config.void > most:
        raise InputError(
            f"--void is {config.void}, but {config.mask} holds numbers up to {most} at most; "
            "give the number that marks void there, or leave it out"
        )
    values, labels = classes_of(raw, config.void, config.mask)
    if config.confidence <= 1 / len(values):
        raise InputError(
            f"--confidence is {config.confidence:g}, but of {len(values)} classes each has "
            f"{1 / len(values):.2f} by chance; give more than that"
        )
    crf = _crf(config)
    sharp = sharpen_labels(to_rgb(image), labels, len(values), crf, config.confidence)
    known = labels != VOID
    if not config.fill:
        sharp[~known] = VOID
    table = np.zeros(256, raw.values.dtype)
    table[: len(values)] = values
    table[VOID] = VOID if config.void is None else config.void
    _write(out, replace(raw, values=table[sharp]))
    changed = float((sharp != labels)[known].mean())
    filled = int((sharp[~known] != VOID).sum())
    return Sharpened(out, crf, tuple(int(value) for value in values), changed, filled)


def classes_of(
    raw: RawMask, void: int | None, path: Path
) -> tuple[NDArray[np.integer], NDArray[np.uint8]]:
    """Return the values that stand for classes, ascending, and labels (H, W), 255 = void.

    Colours are classes, all of them; among indices 255 is void, unless there are only two, as in
    a mask of 0 and 255.

    Raises:
        InputError: Fewer than two classes, or more than `MOST_CLASSES`.
    """
    values = np.unique(raw.values)
    if void is None and not raw.coloured and len(values) > 2:
        void = VOID
    values = values if void is None else values[values != void]
    if len(values) < 2:
        raise InputError(
            f"{path} holds only {', '.join(map(str, values)) or 'void'}; "
            "a CRF moves borders between at least two classes"
        )
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"{path} holds {len(values)} different {'colours' if raw.coloured else 'numbers'}; "
            f"a mask has at most {MOST_CLASSES} classes, so save it without blur, as PNG"
        )
    labels = np.searchsorted(values, raw.values).clip(max=len(values) - 1).astype(np.uint8)
    labels[values[labels] != raw.values] = VOID
    return values, labels


def sharpen_labels(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    num_classes: int,
    crf: DenseCRF,
    confidence: float,
) -> NDArray[np.uint8]:
    """Return labels (H, W) without void; above 4 megapixels in windows of 1024, blended.

    Args:
        image: (H, W, 3).
        labels: (H, W), 255 where nothing is known.
        num_classes: K.
        crf: What sharpens.
        confidence: Probability that a label is right.
    """
    sharp = np.empty_like(labels)
    # The windows are cut from one array, so the labels ride along as a fourth channel.
    both = np.dstack([image, labels])

    def within(window: np.ndarray) -> Tensor:
        unary = label_probabilities(window[..., 3], num_classes, confidence=confidence)
        return torch.from_numpy(crf(np.ascontiguousarray(window[..., :3]), unary))

    if labels.size <= WHOLE_PIXELS:
        sharp[:] = within(both).argmax(0)
        return sharp
    for top, left, block in tiled(both, (TILE, TILE), within):
        height, width = block.shape[1:]
        sharp[top : top + height, left : left + width] = block.argmax(0)
    return sharp


def _crf(config: SharpenConfig) -> DenseCRF:
    crf = DenseCRF.published(config.crf)
    kernel = crf.appearance or Appearance()
    given = {name: getattr(config, name) for name in ("weight", "xy_std", "rgb_std")}
    kernel = replace(kernel, **{name: value for name, value in given.items() if value is not None})
    iterations = crf.iterations if config.iterations is None else config.iterations
    return replace(crf, appearance=kernel, iterations=iterations)


def _write(path: Path, mask: RawMask) -> None:
    """Write a mask as it came: palette, grey of 1, 8 or 16 bits, or colours."""
    values = mask.values
    if mask.coloured:
        picture = Image.fromarray(np.stack([values >> 16, values >> 8, values], 2).astype(np.uint8))
    else:
        picture = Image.fromarray(values.astype(np.bool_) if mask.bilevel else values)
    palette: Sequence[int] = list(mask.palette)
    if palette and values.dtype == np.uint8:
        picture.putpalette(palette)
    content = io.BytesIO()
    picture.save(content, format="PNG")
    try:
        write_bytes(path, content.getvalue())
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error.strerror or error}); name another file with --out"
        ) from error
