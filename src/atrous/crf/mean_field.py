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
    log_probabilities: Tensor,
    kernels: Sequence[tuple[Normalised, Tensor | float]],
    compatibility: Tensor | None = None,
    *,
    iterations: int = 10,
    damping: float = 0.0,
    tolerance: float = 0.0,
) -> Tensor:
    """Return the logarithms of the marginals Q after some iterations.

    Args:
        log_probabilities: (B, N, K) minus the unary energies, up to a constant per pixel; -inf for
            labels that an image has not.
        kernels: Filters with their weights: a scalar, or (K,) one per label.
        compatibility: (K, K) price of label l beside label l'; None is Potts, where paying for
            the others' mass is receiving for one's own.
        iterations: How often messages pass.
        damping: Share of the old Q that stays, in [0, 1).
        tolerance: An image stays as it is as soon as none of its probabilities moves by more than
            this, and all of them together end it; 0 never stops.

    Returns:
        (B, N, K); their exponentials sum to 1 over K.
    """
    log_q = log_probabilities.log_softmax(-1)
    is_moving = torch.ones_like(log_q[:, :1, :1], dtype=torch.bool)  # (B, 1, 1)
    for _ in range(iterations):
        q = log_q.exp()
        message = sum((weight * kernel(q) for kernel, weight in kernels), torch.zeros_like(q))
        if compatibility is not None:
            message = -message @ compatibility.T
        new = (log_probabilities + message).log_softmax(-1)
        if damping:
            new = (damping * q + (1 - damping) * new.exp()).log()
        log_q = torch.where(is_moving, new, log_q) if tolerance else new
        if tolerance:
            is_moving = (log_q.exp() - q).abs().amax((1, 2), keepdim=True) > tolerance
            if not is_moving.any():
                break
    return log_q
