"""One image seen several times: softmax probabilities averaged over scales and flips.

Averaging probabilities, not logits, is the test-time rule of DeepLab v3 (Chen et al. 2017,
arXiv:1706.05587, Sec. 4.1) and PSPNet (Zhao et al., CVPR 2017).
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from atrous.ops import resize

__all__ = ["merge"]


def merge(
    score: Callable[[Tensor], Tensor],
    see: Callable[[float], Tensor],
    size: tuple[int, int],
    *,
    scales: Sequence[float],
    flip: bool,
    align_corners: bool,
) -> Tensor:
    """Return the mean probabilities (K, H, W) of one image at its own size.

    Args:
        score: Maps images (1, C, h, w) to coarse float32 logits.
        see: Gives the image at one of `scales`: (1, C, h, w), normalised.
        size: (H, W).
        scales: Factors on (H, W).
        flip: Add the left-right mirror image at every scale.
        align_corners: Corner convention of the score maps.
    """
    views = [(scale, mirrored) for scale in scales for mirrored in ((False, True)[: 1 + flip])]
    total: Tensor | None = None
    for scale, mirrored in views:
        view = see(scale)
        scores = score(view.flip(-1) if mirrored else view)
        logits = resize(scores, size, align_corners=align_corners)
        probabilities = logits.softmax(1)
        probabilities = probabilities.flip(-1) if mirrored else probabilities
        total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total[0] if len(views) == 1 else total[0].div_(len(views))
