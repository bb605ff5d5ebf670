"""Where scores and labels meet: at the image's size, or at the scores' own."""

import torch
from torch import Tensor

__all__ = ["labels_at"]


def labels_at(labels: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Pick the label under each cell of a score map; nothing is interpolated.

    With aligned corners and a crop of 8 k + 1 pixels these are `labels[::8, ::8]`, the targets of
    DeepLab v1 and v2 (the release's data layers); without, those under the cells' centres.

    Args:
        labels: (N, H, W), at least as large as `size`.
        size: (h, w) of the score map.
        align_corners: Whether corner cells lie on corner pixels.

    Example:
        >>> labels_at(torch.arange(9).view(1, 1, 9), (1, 2), align_corners=True).tolist()
        [[[0, 8]]]
        >>> labels_at(torch.arange(8).view(1, 1, 8), (1, 2), align_corners=False).tolist()
        [[[2, 6]]]
    """
    rows, columns = (
        _places(length, cells, align_corners=align_corners).to(labels.device)
        for length, cells in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[..., rows[:, None], columns]


def _places(length: int, cells: int, *, align_corners: bool) -> Tensor:
    """Return the pixel under each cell of a line."""
    numbers = torch.arange(cells)
    if align_corners and cells > 1:
        return (2 * numbers * (length - 1) + cells - 1) // (2 * (cells - 1))  # rounded
    return (2 * numbers + 1) * length // (2 * cells)
