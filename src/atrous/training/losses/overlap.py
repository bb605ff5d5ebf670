"""Losses on the overlap of two regions: Tversky's index, of which Dice's and Jaccard's are cases.

With p the probability of a class and g its mask, sums over the labelled pixels of an image:

    TP = sum p g,  FP = sum p (1 - g),  FN = sum (1 - p) g
    Tversky's index = TP / (TP + alpha FP + beta FN);  Dice's: 1/2, 1/2;  Jaccard's: 1, 1

A loss is the mean of 1 - index over the classes that the image shows, weighed by the class weights,
and the mean over images. A class that is not shown has an index of 0 whatever is predicted, so it
would only add a constant; its false positives are what the classes that are shown miss. So no
smoothing constant is needed either: beta is above 0, so the denominators hold the mask.

Memory: probabilities of one image at full size (`images.py`).
"""

from dataclasses import dataclass

from torch import Tensor

from atrous.errors import InputError
from atrous.training.losses.images import ImageLoss, regions
from atrous.training.losses.loss import quotient

__all__ = ["Dice", "Jaccard", "Tversky"]


@dataclass(frozen=True)
class Dice(ImageLoss):
    """1 - 2 TP / (sum p + sum g) (Drozdzal et al., DLMIA 2016; Sudre et al., DLMIA 2017)."""

    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the mean over the classes shown."""
        return _missing_overlap(logits, labels, class_weights, 0.5, 0.5)


@dataclass(frozen=True)
class Jaccard(ImageLoss):
    """1 - TP / (sum p + sum g - TP), the soft IoU (Rahman and Wang, ISVC 2016)."""

    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the mean over the classes shown."""
        return _missing_overlap(logits, labels, class_weights, 1.0, 1.0)


@dataclass(frozen=True)
class Tversky(ImageLoss):
    """1 - TP / (TP + alpha FP + beta FN) (Salehi et al., MLMI 2017, Sec. 2).

    Attributes:
        alpha: Price of a false positive, in 0..1000.
        beta: Price of a false negative, in 0.001..1000; without one a class that nothing is taken
            for has an index of 0 / 0. The paper's best pair is 0.3 and 0.7.
    """

    alpha: float = 0.3
    beta: float = 0.7

    def __post_init__(self) -> None:
        """Refuse prices that are none.

        Raises:
            InputError: One is outside its range.
        """
        for name, least, usual in (("alpha", 0.0, 0.3), ("beta", 0.001, 0.7)):
            if not least <= (price := getattr(self, name)) <= 1000:
                raise InputError(
                    f"{name} is {price:g}, but must lie in {least:g}..1000, such as {usual}"
                )

    def of_pixels(self, logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
        """Return the mean over the classes shown."""
        return _missing_overlap(logits, labels, class_weights, self.alpha, self.beta)


def _missing_overlap(
    logits: Tensor, labels: Tensor, class_weights: Tensor, alpha: float, beta: float
) -> Tensor:
    shown, probabilities, masks = regions(logits, labels)
    hit = (probabilities * masks).sum(1)
    excess, lack = probabilities.sum(1) - hit, masks.sum(1) - hit
    index = hit / (hit + alpha * excess + beta * lack)
    weights = class_weights[shown]
    return quotient((weights * (1 - index)).sum(), weights.sum())
