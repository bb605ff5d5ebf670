"""Cross entropy: -log of the probability of the true class, the loss of every paper here.

FCN sums it over pixels and divides by the images; SegNet weighs the classes and divides by the
pixels, as its Caffe layer does; PyTorch's mean divides by the weights.
"""

from dataclasses import dataclass

from torch import Tensor

from atrous.errors import InputError
from atrous.ops import upsample_cross_entropy
from atrous.training.losses.loss import PixelLoss, Targets

__all__ = ["CrossEntropy"]


@dataclass(frozen=True)
class CrossEntropy(PixelLoss):
    """(1 - s) w_y (-log p_y) + s / K sum_c w_c (-log p_c), summed over labelled pixels.

    Attributes:
        label_smoothing: Share s of the target that is spread over all classes (Szegedy et al.,
            CVPR 2016, Sec. 7), in 0..1.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a share that is none.

        Raises:
            InputError: `label_smoothing` is outside 0..1.
        """
        if not 0 <= self.label_smoothing <= 1:
            raise InputError(
                f"label_smoothing is {self.label_smoothing:g}, but must lie in 0..1, such as 0.1"
            )

    def total(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the sum over labelled pixels."""
        return upsample_cross_entropy(
            scores,
            targets.labels,
            targets.class_weights,
            targets.ignore_index,
            label_smoothing=self.label_smoothing,
            align_corners=targets.align_corners,
            reduction="sum",
        )
