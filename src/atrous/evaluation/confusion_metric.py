"""The confusion matrix as a torchmetrics metric: summed over batches, devices and processes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from atrous.errors import InputError
from atrous.evaluation import scores
from atrous.evaluation.confusion import confusion_matrix
from atrous.labels import VOID

__all__ = ["ConfusionMatrix"]


class ConfusionMatrix(Metric):
    """Pixel counts by true class (rows) and predicted class (columns), int64.

    Args:
        num_classes: K, 2 to 255.
        ignore_index: Label of void pixels, which count neither as truth nor as prediction.

    Example:
        >>> matrix = ConfusionMatrix(2)
        >>> matrix.update(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]))
        >>> matrix.pixel_accuracy()
        0.5
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    matrix: Tensor

    def __init__(self, num_classes: int, ignore_index: int = VOID) -> None:
        super().__init__()
        if not 2 <= num_classes <= VOID:
            raise InputError(f"num_classes is {num_classes}; give 2 to {VOID}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        empty = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("matrix", empty, dist_reduce_fx="sum")

    def update(self, predictions: Tensor | np.ndarray, labels: Tensor | np.ndarray) -> None:
        """Count the pixels of one image or batch.

        Args:
            predictions: Class indices of any shape and integer dtype, array or tensor.
            labels: Same shape; true classes or `ignore_index`.

        Raises:
            InputError: Shapes differ, or a value is no class.
        """
        counted = confusion_matrix(
            _array(predictions), _array(labels), self.num_classes, self.ignore_index
        )
        self.matrix += torch.from_numpy(counted).to(self.matrix.device)

    def compute(self) -> Tensor:
        """Return the (K, K) matrix, summed over all processes."""
        return self.matrix

    def counts(self) -> NDArray[np.int64]:
        """Return the (K, K) counts as an int64 array."""
        counts: NDArray[np.int64] = self.matrix.cpu().numpy()
        return counts

    def iou(self) -> list[float | None]:
        """Return the IoU of each class; None where the class has no true pixel."""
        values = scores.intersection_over_union(self.counts())
        return [None if np.isnan(value) else float(value) for value in values]

    def mean_iou(self) -> float:
        """Return the mean IoU over the classes that occur; NaN before the first pixel."""
        return scores.mean_iou(self.counts())

    def pixel_accuracy(self) -> float:
        """Return the share of pixels with the right label."""
        return scores.pixel_accuracy(self.counts())

    def mean_accuracy(self) -> float:
        """Return the mean of the classes' accuracies."""
        return scores.mean_accuracy(self.counts())

    def frequency_weighted_iou(self) -> float:
        """Return the IoU weighted with the classes' shares of the true pixels."""
        return scores.frequency_weighted_iou(self.counts())


def _array(values: Tensor | np.ndarray) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
