"""Bilinear upsampling and argmax in one step: labels without the full-resolution logits.

Four neighbouring cells of the score map span a block of labels. Bilinear interpolation is a
weighted mean of the four, so a class that wins at all of them wins inside, and a class whose best
corner is below some other's worst corner wins nowhere. Most blocks therefore need no arithmetic,
the others only that of the classes that meet there. Two forms compute the same bits:

- torch operations on the labels where classes meet, on any device, and on the CPU for the first
  images of a process;
- a compiled kernel for the CPU (`upsample_argmax_kernel`), twenty times as fast as either the
  torch form or all the logits, as soon as a process has enough to do: numba takes 0.6 s to load,
  and 2 s more to compile once per machine, which one photo from a cold start should not wait for.
"""

from itertools import count

import numpy as np
import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.ops.grids import blocks_of, positions
from atrous.ops.shares import in_shares

__all__ = ["upsample_argmax"]

ELEMENTS_AT_ONCE = 2**18
"""Logits that the torch form holds at a time: 1 MB of float32, a dozen times over."""
CALLS_BEFORE_COMPILING, LABELS_BEFORE_COMPILING = 8, 2**22
"""So many calls, and so many labels in one call, are taken without the kernel."""
SMALL = 2**16
"""Below so many labels a second thread costs more than it saves."""

_calls = count()


def upsample_argmax(scores: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Return `resize(scores, size).argmax(1)` without ever holding N x K x H x W numbers.

    Of equal scores the first class wins, as in `torch.argmax`; NaN wins nowhere.

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
    scores = torch.nan_to_num(scores.detach().float(), nan=torch.finfo(torch.float32).min)
    if scores.device.type == "cpu" and _is_worth_compiling(scores.shape[0] * size[0] * size[1]):
        return _with_kernel(scores, size, align_corners)
    return torch.stack([_with_torch(image, size, align_corners) for image in scores])


def _is_worth_compiling(labels: int) -> bool:
    return next(_calls) >= CALLS_BEFORE_COMPILING or labels > LABELS_BEFORE_COMPILING


def _with_kernel(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Run the kernel over all images, their rows shared among torch's number of threads."""
    from atrous.ops.upsample_argmax_kernel import label_blocks

    height, width = scores.shape[-2:]
    coarse = scores.contiguous().numpy()
    labels = np.empty((scores.shape[0], *size), np.uint8)
    blocks = (*blocks_of(height, size[0], align_corners), *blocks_of(width, size[1], align_corners))

    def fill(begin: int, end: int) -> None:
        for image, target in zip(coarse, labels, strict=True):
            label_blocks(image, target, *blocks, begin, end)

    if labels.size < SMALL:
        fill(0, height)
    else:
        in_shares(fill, height)
    return torch.from_numpy(labels)


def _with_torch(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Label one image (K, h, w): blocks as a whole, then those pixels where classes meet."""
    classes, height, width = scores.shape
    (top, lower), (left, right) = (
        tuple(torch.from_numpy(part).to(scores.device) for part in positions(*side, align_corners))
        for side in ((height, size[0]), (width, size[1]))
    )
    winners = scores.argmax(0).to(torch.uint8)
    agreed = _shifted(winners, 1, 0).eq(winners) & _shifted(winners, 0, 1).eq(winners)
    agreed &= _shifted(winners, 1, 1).eq(winners)
    labels = winners[top][:, left]
    y, x = (~agreed)[top][:, left].nonzero(as_tuple=True)
    cells = scores.permute(1, 2, 0).contiguous()  # (h, w, K)
    for begin in range(0, len(y), max(1, ELEMENTS_AT_ONCE // classes)):
        part = slice(begin, begin + max(1, ELEMENTS_AT_ONCE // classes))
        i, j = top[y[part]], left[x[part]]
        below, beside = (i + 1).clamp(max=height - 1), (j + 1).clamp(max=width - 1)
        corners = cells[i, j], cells[i, beside], cells[below, j], cells[below, beside]
        weights = right[x[part], None], lower[y[part], None]
        labels[y[part], x[part]] = _meeting(corners, weights).to(torch.uint8)
    return labels


def _meeting(
    corners: tuple[Tensor, Tensor, Tensor, Tensor], weights: tuple[Tensor, Tensor]
) -> Tensor:
    """Return the winners (P,) between four corners, each (P, K), in the kernel's own arithmetic."""
    a, b, c, d = corners
    right, lower = weights
    worst = torch.minimum(torch.minimum(a, b), torch.minimum(c, d))
    best = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
    above, below = a + right * (b - a), c + right * (d - c)
    between = above + lower * (below - above)
    return between.where(best >= worst.amax(1, keepdim=True), -torch.inf).argmax(1)


def _shifted(winners: Tensor, down: int, right: int) -> Tensor:
    """Return each cell's neighbour; the last row and column are their own."""
    height, width = winners.shape
    rows = torch.arange(down, height + down, device=winners.device).clamp(max=height - 1)
    columns = torch.arange(right, width + right, device=winners.device).clamp(max=width - 1)
    return winners[rows][:, columns]
