"""One image seen several times: softmax probabilities averaged over scales, flips and samples.

Averaging probabilities, not logits, is the test-time rule of DeepLab v3 (Chen et al. 2017,
arXiv:1706.05587, Sec. 4.1), PSPNet (Zhao et al., CVPR 2017) and Bayesian SegNet (Kendall et al.,
BMVC 2017). How much the passes differ is the network's doubt (`atrous.inference.uncertainty`).

Whatever the number of passes, two maps (K, H, W) are held: the sum and the pass at hand.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from atrous.ops import resize

__all__ = ["DOUBTS", "entropy", "merge", "merge_with_doubt", "passes"]

DOUBTS = 2
"""Maps that `merge_with_doubt` puts behind the probabilities: entropy, mutual information."""


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
    """Yield the probabilities (K, H, W) of each pass, at the size of the image.

    Args:
        score: Maps images (1, C, h, w) to coarse float32 logits.
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
                logits = resize(score(view), size, align_corners=align_corners)
                probabilities = logits.softmax(1)[0]
                yield probabilities.flip(-1) if mirrored else probabilities


def merge(probabilities: Iterable[Tensor]) -> Tensor:
    """Return the mean (K, H, W) of one or more passes, whose first one is changed."""
    total: Tensor | None = None
    count = 0
    for count, each in enumerate(probabilities, start=1):  # noqa: B007 - read after the loop
        total = each if total is None else total.add_(each)
    assert total is not None
    return total if count == 1 else total.div_(count)


def merge_with_doubt(probabilities: Iterable[Tensor]) -> Tensor:
    """Return the mean of the passes and how doubtful it is: (K + 2, H, W).

    Entropies are in nats over log K, their largest value, so both maps lie in [0, 1].

    Returns:
        K maps of the mean probabilities; the entropy of the mean (predictive entropy); and that
        less the mean entropy of the passes (mutual information), 0 for a single pass.
    """
    held: Tensor | None = None
    within: Tensor | None = None
    count = 0
    for count, each in enumerate(probabilities, start=1):  # noqa: B007 - read after the loop
        alone = entropy(each)
        within = alone if within is None else within.add_(alone)
        if held is None:
            held = each.new_zeros(len(each) + DOUBTS, *each.shape[1:])
        held[:-DOUBTS] += each
    assert held is not None
    assert within is not None
    held[:-DOUBTS] /= count
    held[-2] = entropy(held[:-DOUBTS])
    # Never below 0 (Jensen), but for the last bits of float32.
    held[-1] = (held[-2] - within.div_(count)).clamp_(min=0)
    return held


def entropy(probabilities: Tensor) -> Tensor:
    """Return -sum p log p over log K, of probabilities (K, H, W): (H, W) in [0, 1].

    One class at a time: of all at once the temporary would be as large as the probabilities.
    """
    total = torch.zeros_like(probabilities[0])
    for p in probabilities:
        total += torch.special.entr(p)
    return total.div_(max(math.log(len(probabilities)), 1e-9)).clamp_(max=1)
