"""Mean-field inference (Krähenbühl & Koltun, Algorithm 1) in plain torch, over any filter.

This is the form that reads like the paper: differentiable, batched, on any device. The compiled
form of the same loop is `engine`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from atrous.crf.normalise import Normalised

__all__ = ["mean_field"]


def mean_field(
    probabilities: Tensor,
    kernels: Sequence[tuple[Normalised, Tensor | float]],
    compatibility: Tensor | None = None,
    *,
    iterations: int = 10,
    damping: float = 0.0,
    tolerance: float = 0.0,
) -> Tensor:
    """Return the marginals Q after some iterations.

    Args:
        probabilities: (B, N, K) positive, normalised; the unary is their negative logarithm.
        kernels: Filters with their weights: a scalar, or (K,) one per label.
        compatibility: (K, K) price of label l beside label l'; None is Potts, where paying for
            the others' mass is receiving for one's own.
        iterations: How often messages pass.
        damping: Share of the old Q that stays, in [0, 1).
        tolerance: Stop as soon as no probability moves by more than this; 0 never stops.

    Returns:
        (B, N, K), summing to 1 over K.
    """
    log_probabilities = probabilities.log()
    q = probabilities
    for _ in range(iterations):
        message = sum((weight * kernel(q) for kernel, weight in kernels), torch.zeros_like(q))
        if compatibility is not None:
            message = -message @ compatibility.T
        new = (log_probabilities + message).softmax(-1)
        new = damping * q + (1 - damping) * new if damping else new
        if tolerance and (new - q).abs().max() <= tolerance:
            return new
        q = new
    return q
