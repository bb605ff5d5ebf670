"""Losses added up, each with its factor and its own divisor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.training.losses.loss import Loss, Targets, quotient

__all__ = ["Combination"]


@dataclass(frozen=True)
class Combination:
    """A sum of losses, often of one; what `--loss` says.

    Attributes:
        terms: (factor, loss) each.
    """

    terms: tuple[tuple[float, Loss], ...]

    def divisors(self, targets: Targets) -> Tensor:
        """Return the divisor of each term (T,): those of parts of a batch add up."""
        return torch.stack([loss.divisor(targets) for _, loss in self.terms])

    def share(self, scores: Tensor, targets: Targets, divisors: Tensor) -> Tensor:
        """Return what these images contribute to the loss of the batch whose divisors are given.

        Args:
            scores: (N, K, h, w) logits at any stride.
            targets: Labels of the same images.
            divisors: (T,), of the whole batch.
        """
        parts = zip(self.terms, divisors, strict=True)
        return torch.stack(
            [
                factor * quotient(loss.total(scores, targets), divisor)
                for (factor, loss), divisor in parts
            ]
        ).sum()

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the loss of a whole batch."""
        return self.share(scores, targets, self.divisors(targets))
