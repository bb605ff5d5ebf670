"""The form of `upsample_cross_entropy` that torch operations make up: any device and dtype.

Bilinear interpolation is a product with a matrix on either side, R scores C^T, so the gradient of
the coarse scores is R^T gradient C: sums without atomic additions, the same bits in every run. Some
lines of labels are computed at a time, and no graph is recorded. Scores of the labels' own size are
not resized.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.ops.grids import positions

__all__ = ["Classes", "Totals", "not_a_class", "sum_in_lines"]

ELEMENTS_AT_ONCE = 2**20
"""Full-size scores that are held at a time: 4 MB of float32, a few times over."""


class Classes(NamedTuple):
    """What the classes count, each (K,), and the label of void.

    Attributes:
        weights: What a labelled pixel counts in the mean.
        hits: Factor of the label's own score.
        sums: Factor of the logarithm of the sum of exponentials.
        smooth: Factor of every class's score at any labelled pixel.
        is_smooth: Whether any of these is not 0.
        void: Label without loss.
    """

    weights: Tensor
    hits: Tensor
    sums: Tensor
    smooth: Tensor
    is_smooth: bool
    void: int


class Totals(NamedTuple):
    """Sums over the labelled pixels.

    Attributes:
        loss: A number.
        weight: The weights of their labels.
        gradient: (N, K, h, w) of the loss, float32 or float64; None if not wanted, or not yet.
    """

    loss: Tensor
    weight: Tensor
    gradient: Tensor | None


def sum_in_lines(
    scores: Tensor, labels: Tensor, classes: Classes, align_corners: bool, has_gradient: bool
) -> Totals:
    """Sum loss, weights and gradient.

    Args:
        scores: (N, K, h, w), floating; computed in the dtype of `classes`.
        labels: (N, H, W) uint8 or int64.
        classes: What each class counts, on the device of `scores`.
        align_corners: Corner convention, as in `resize`.
        has_gradient: Whether the gradient is wanted.

    Raises:
        InputError: A label that no class has.
    """
    dtype, device = classes.weights.dtype, scores.device
    scores = scores.to(dtype)
    gradient = torch.zeros_like(scores) if has_gradient else None
    loss, weight = (torch.zeros((), dtype=dtype, device=device) for _ in range(2))
    lines = max(1, ELEMENTS_AT_ONCE // (scores.shape[0] * scores.shape[1] * labels.shape[2]))
    resize = (
        None if scores.shape[2:] == labels.shape[1:] else _Resize(scores, labels, align_corners)
    )
    with torch.autocast(device.type, enabled=False):
        for begin in range(0, labels.shape[1], lines):
            span = slice(begin, min(begin + lines, labels.shape[1]))
            logits = resize.forth(span) if resize else scores[:, :, span]
            part = labels[:, span].long()
            part_loss, part_weight, slope = _cross_entropy(logits, part, classes, has_gradient)
            loss += part_loss
            weight += part_weight
            if gradient is not None and resize:
                resize.back(slope, span, gradient)
            elif gradient is not None:
                gradient[:, :, span] = slope
    return Totals(loss, weight, gradient)


def _cross_entropy(
    logits: Tensor, labels: Tensor, classes: Classes, has_gradient: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, weight and, in place of the logits, the gradient of full-size logits."""
    void = labels == classes.void
    wrong = ~void & ((labels < 0) | (labels >= logits.shape[1]))
    if wrong.any():
        raise not_a_class(int(labels[wrong][0]), logits.shape[1], classes.void)
    labels = labels.masked_fill(void, 0)
    weights, hits, sums = (part[labels].masked_fill(void, 0) for part in classes[:3])
    smooth = classes.smooth.view(-1, 1, 1)
    log_probabilities = logits.log_softmax(1)
    losses = hits * log_probabilities.gather(1, labels[:, None])[:, 0]
    if classes.is_smooth:
        losses += (smooth * log_probabilities).sum(1)
    loss = -losses.masked_fill_(void, 0).sum()
    if has_gradient:
        logits = log_probabilities.exp_().mul_(sums[:, None])
        logits.scatter_add_(1, labels[:, None], -hits[:, None])
        if classes.is_smooth:
            logits -= smooth * ~void[:, None]
    return loss, weights.sum(), logits


def not_a_class(label: int, num_classes: int, void: int) -> InputError:
    """Build the error for a label that no class has."""
    return InputError(
        f"a label is {label}, but the scores have {num_classes} classes; give labels from 0 to "
        f"{num_classes - 1}, or {void} (ignore_index) for void"
    )


class _Resize:
    """Bilinear resizing of some lines at a time, and its transpose."""

    def __init__(self, scores: Tensor, labels: Tensor, align_corners: bool) -> None:
        sides = zip(scores.shape[2:], labels.shape[1:], strict=True)
        (self.before, rows), (_, columns) = (_matrix(*side, align_corners) for side in sides)
        self.rows, self.columns = rows.to(scores), columns.to(scores)
        self.scores = scores.contiguous()  # products of other layouts are several times slower

    def forth(self, span: slice) -> Tensor:
        """Return the full-size (N, K, span, W)."""
        near = self._near(span)
        return self.rows[span, near] @ self.scores[:, :, near] @ self.columns.T

    def back(self, slope: Tensor, span: slice, gradient: Tensor) -> None:
        """Add to the gradient (N, K, h, w) what comes from its full-size lines."""
        near = self._near(span)
        gradient[:, :, near] += self.rows[span, near].T @ (slope @ self.columns)

    def _near(self, span: slice) -> slice:
        """Return the coarse rows that some lines lie between."""
        return slice(int(self.before[span.start]), int(self.before[span.stop - 1]) + 2)


def _matrix(cells: int, pixels: int, align_corners: bool) -> tuple[np.ndarray, Tensor]:
    """Return the cell before each pixel, and the weights (pixels, cells) of a bilinear resize."""
    before, weight = positions(cells, pixels, align_corners, np.float64)
    matrix = np.zeros((pixels, cells))
    pixel = np.arange(pixels)
    matrix[pixel, before] = 1 - weight
    matrix[pixel, np.minimum(before + 1, cells - 1)] += weight
    return before, torch.from_numpy(matrix)
