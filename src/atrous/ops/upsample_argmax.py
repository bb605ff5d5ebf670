"""Bilinear upsampling and argmax in one step: labels without the full-resolution logits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from atrous.errors import InputError

__all__ = ["upsample_argmax"]

STRIP_ELEMENTS = 2**24
"""Logits that the strips on a GPU hold at once: 64 MB of float32."""
SMALL = 2**16
"""Below so many labels a second thread costs more than it saves."""


def upsample_argmax(scores: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Return `resize(scores, size).argmax(1)` without ever holding N x K x H x W numbers.

    On the CPU a compiled kernel looks at each block of labels between four coarse cells and only
    computes where classes meet; see `upsample_argmax_kernel`. Elsewhere strips of rows are
    resized and reduced one after the other. Of equal scores the first class wins, as in
    `torch.argmax`; NaN wins nowhere.

    Args:
        scores: (N, K, h, w) logits of 1 to 255 classes; any floating dtype, computed in float32.
        size: (height, width) of the labels; may be smaller than (h, w).
        align_corners: Corner convention, as in `resize`.

    Returns:
        (N, *size) uint8 on the device of `scores`.

    Raises:
        InputError: Another number of dimensions or classes, or a size without pixels.
    """
    if scores.ndim != 4 or not 1 <= scores.shape[1] <= 255 or min(*scores.shape, *size) < 1:
        raise InputError(
            f"scores of shape {tuple(scores.shape)} cannot become labels of size {tuple(size)}; "
            "give (N, K, h, w) with 1 to 255 classes, and at least one pixel"
        )
    scores = scores.detach().float()
    if scores.device.type != "cpu":
        return _in_strips(scores, size, align_corners)
    return _in_blocks(scores, size, align_corners)


def _in_blocks(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Run the kernel over all images, their rows shared among torch's number of threads."""
    from atrous.ops.upsample_argmax_kernel import label_blocks  # numba: 0.4 s on first use

    height, width = scores.shape[-2:]
    coarse = scores.contiguous().numpy()
    labels = np.empty((scores.shape[0], *size), np.uint8)
    blocks = (*_blocks(height, size[0], align_corners), *_blocks(width, size[1], align_corners))
    threads = 1 if labels.size < SMALL else min(torch.get_num_threads(), height)
    cuts = [height * part // threads for part in range(threads + 1)]

    def fill(begin: int, end: int) -> None:
        for image, target in zip(coarse, labels, strict=True):
            label_blocks(image, target, *blocks, begin, end)

    if threads == 1:
        fill(0, height)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, cuts[:-1], cuts[1:]))
    return torch.from_numpy(labels)


def _blocks(cells: int, pixels: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of every cell's block (cells + 1,) and the weights (pixels,)."""
    before, weight = _positions(cells, pixels, align_corners)
    return np.searchsorted(before, np.arange(cells + 1)).astype(np.int64), weight


def _positions(cells: int, pixels: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell at or before each pixel, and the weight in [0, 1] of the cell after it.

    In float32 and in the order of torch's own formula, so that labels agree in near-ties too.
    """
    pixel = np.arange(pixels, dtype=np.float32)
    if align_corners:
        position = pixel * (np.float32(cells - 1) / np.float32(max(pixels - 1, 1)))
    else:
        scale = np.float32(cells) / np.float32(pixels)
        position = np.maximum(scale * (pixel + np.float32(0.5)) - np.float32(0.5), 0)
    before = np.minimum(position.astype(np.int64), cells - 1)
    return before, np.clip(position - before.astype(np.float32), 0, 1).astype(np.float32)


def _in_strips(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Resize and reduce a few rows at a time, on any device."""
    count, classes, height, width = scores.shape
    labels = torch.empty(count, *size, dtype=torch.uint8, device=scores.device)
    (top, lower), (left, right) = (
        tuple(torch.from_numpy(part).to(scores.device) for part in _positions(*side, align_corners))
        for side in ((height, size[0]), (width, size[1]))
    )
    rows = max(1, STRIP_ELEMENTS // (count * classes * size[1]))
    for y in range(0, size[0], rows):
        strip = slice(y, y + rows)
        x = _mix(scores, 2, top[strip], lower[strip, None])  # (N, K, rows, w)
        labels[:, strip] = _mix(x, 3, left, right).argmax(1).to(torch.uint8)
    return labels


def _mix(x: Tensor, dim: int, before: Tensor, weight: Tensor) -> Tensor:
    """Interpolate between neighbours along one dimension."""
    after = (before + 1).clamp(max=x.shape[dim] - 1)
    return torch.lerp(x.index_select(dim, before), x.index_select(dim, after), weight)
