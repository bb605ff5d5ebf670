"""One image seen several times: softmax probabilities averaged over scales, flips and samples.

Averaging probabilities, not logits, is the test-time rule of DeepLab v3 (Chen et al. 2017,
arXiv:1706.05587, Sec. 4.1), PSPNet (Zhao et al., CVPR 2017) and Bayesian SegNet (Kendall et al.,
BMVC 2017). How much the passes differ is the network's doubt (`atrous.inference.uncertainty`).

Whatever the number of passes, two maps (K, H, W) are held beside what the network itself takes:
the sum and the pass at hand, whose softmax is taken in its place. A third one, where doubts are
taken at another temperature than the probabilities.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from atrous.ops import resize

__all__ = ["DOUBTS", "merge", "merge_with_doubt", "passes"]

DOUBTS = 3
"""Maps behind the probabilities of `merge_with_doubt`: entropy, mutual information, variance."""

ROWS = 32
"""Rows that are worked on at once."""


def passes(
    score: Callable[[Tensor], Tensor],
    see: Callable[[float], Tensor],
    size: tuple[int, int],
    *,
    scales: Sequence[float],
    flip: bool,
    align_corners: bool,
    samples: int = 1,
) -> Iterator[Tensor]:
    """Yield the logits (K, H, W) of each pass, at the size of the image; none is kept here.

    Args:
        score: Maps images (1, C, h, w) to coarse float32 logits, which the caller may change.
        see: Gives the image at one of `scales`: (1, C, h, w), normalised.
        size: (H, W).
        scales: Factors on (H, W).
        flip: Add the left-right mirror image at every scale.
        align_corners: Corner convention of the score maps.
        samples: How often each view goes through the network; more than once only where the
            network draws, as with dropout.
    """
    for scale in scales:
        seen = see(scale)
        for mirrored in (False, True)[: 1 + flip]:
            view = seen.flip(-1) if mirrored else seen
            for _ in range(samples):
                # Flipped while it is coarse, and in no variable, which would outlive the `yield`.
                yield resize(_scores(score, view, mirrored), size, align_corners=align_corners)[0]


def merge(logits: Iterable[Tensor]) -> Tensor:
    """Return the mean probabilities (K, H, W) of one or more passes, which are changed."""
    total: Tensor | None = None
    count = 0
    for each in logits:  # not `enumerate`, which keeps the last one while the next is made
        for rows in _slabs(each):
            each[:, rows] = each[:, rows].softmax(0)
        total = each if total is None else total.add_(each)
        count += 1
        del each
    assert total is not None
    return total if count == 1 else total.div_(count)


def merge_with_doubt(logits: Iterable[Tensor], temperature: float = 1.0) -> Tensor:
    """Return the mean probabilities of the passes and how doubtful they are: (K + 3, H, W).

    Args:
        logits: (K, H, W) of one or more passes.
        temperature: Divides the logits for the doubts, and not for the probabilities.

    Returns:
        K maps of the mean probabilities; the entropy of the mean (predictive entropy) over log K;
        that less the mean entropy of the passes (mutual information), and the variance of the
        probabilities over the passes, divided by their number, as the mean over the classes; both
        0 for a single pass.
    """
    held: Tensor | None = None
    count = 0
    for each in logits:
        if held is None:
            held = each.new_zeros(len(each) + DOUBTS, *each.shape[1:])
            mean = held[:-DOUBTS] if temperature == 1 else torch.zeros_like(held[:-DOUBTS])
            within = each.new_zeros(2, *each.shape[1:])
        for rows in _slabs(each):
            sure = (each[:, rows] / temperature).softmax(0)
            mean[:, rows] += sure
            within[:, rows] += _concave(sure)
            if temperature != 1:
                held[:-DOUBTS, rows] += each[:, rows].softmax(0)
        count += 1
        del each
    assert held is not None
    held[:-DOUBTS] /= count
    if temperature != 1:
        mean /= count
    for rows in _slabs(held):
        whole = _concave(mean[:, rows])
        held[-3, rows] = whole[0]
        # Never below 0 (Jensen), but for the last bits of float32.
        held[-2:, rows] = (whole - within[:, rows] / count).clamp_(min=0)
    return held


def _scores(score: Callable[[Tensor], Tensor], view: Tensor, mirrored: bool) -> Tensor:
    scores = score(view)
    return scores.flip(-1) if mirrored else scores


def _slabs(maps: Tensor) -> Iterator[slice]:
    """Yield the rows of maps (K, H, W) some at a time, so that no step needs a map of its own."""
    for top in range(0, maps.shape[1], ROWS):
        yield slice(top, top + ROWS)


def _concave(probabilities: Tensor) -> Tensor:
    """Return entropy over log K, and -sum p ** 2 / K, of probabilities (K, h, w): (2, h, w).

    Of the first, the value of the mean less the mean of the values is the mutual information; of
    the second it is E[p ** 2] - E[p] ** 2, the variance, as the mean over the classes.
    """
    classes = len(probabilities)
    entropy = torch.special.entr(probabilities).sum(0) / max(math.log(classes), 1e-9)
    return torch.stack([entropy.clamp_(max=1), -probabilities.square().sum(0) / classes])
