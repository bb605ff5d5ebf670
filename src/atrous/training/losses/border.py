"""U-Net's border-weighted cross entropy (Ronneberger et al., MICCAI 2015, Sec. 3, Eq. 1 and 2).

The map of weights is `atrous.data.border_weights`, which says what the paper leaves open. It is
computed from the labels of the crop as the network sees it, so it fits whatever the augmentation
has done to them. Where the crop's edge cuts a cell in two, the parts are two cells, and what lies
between them is border. It takes tens of milliseconds of one core an image (docs/losses.md), in the
midst of the step, and again for each auxiliary map.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.data.border_weights import border_weights
from atrous.errors import InputError
from atrous.training.losses.images import sum_over_images
from atrous.training.losses.loss import PixelLoss, Targets

__all__ = ["Border"]


@dataclass(frozen=True)
class Border(PixelLoss):
    """(w_y + w_0 exp(-(d_1 + d_2)^2 / (2 sigma^2))) (-log p_y), summed over labelled pixels.

    The second term is for the background alone. w are the class weights; under `inverse`, which
    is how we read the paper, their mean over pixels is 1. The divisor knows only them.

    Memory: logits of one image at full size (`images.py`).

    Attributes:
        w0: Height of the second term where two cells touch.
        sigma: Its width in pixels of the labels: those of the crop or, supervised at the scores'
            size, cells of the score map.
        background: The class between the cells.
    """

    w0: float = 10.0
    sigma: float = 5.0
    background: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A value is outside its range.
        """
        if self.w0 < 0 or self.sigma <= 0 or self.background < 0:
            raise InputError(
                f"w0 is {self.w0:g}, sigma {self.sigma:g}, background {self.background}, but w0 "
                "must be 0 or more, sigma above 0, background a class; the paper's are 10, 5, 0"
            )

    def total(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the sum over labelled pixels.

        Raises:
            InputError: There is no class `background`.
        """
        if self.background >= scores.shape[1]:
            raise InputError(
                f"background is {self.background}, but the classes are 0 to {scores.shape[1] - 1}; "
                "give the one between the cells"
            )

        def of_pixels(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
            return -(weights * torch.log_softmax(logits, 0).gather(0, labels[None])[0]).sum()

        return sum_over_images(of_pixels, scores, targets, self._weights(targets))

    def _weights(self, targets: Targets) -> Tensor:
        """Return w(x) of every pixel (N, H, W), on the labels' device."""
        maps = [
            border_weights(
                labels,
                background=self.background,
                class_weights=targets.class_weights.tolist(),
                w0=self.w0,
                sigma=self.sigma,
                ignore_index=targets.ignore_index,
            )
            for labels in targets.labels.to(torch.uint8).cpu().numpy()
        ]
        return torch.stack([torch.from_numpy(weights) for weights in maps]).to(
            targets.labels.device
        )
