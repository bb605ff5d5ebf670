"""Cross entropy of coarse scores against full-size labels, without the full-size scores.

Full-size scores of 150 classes, 4 x 512 x 512, take 600 MiB, and torch holds three such maps to
come from them to a gradient. Here loss and gradient come in one pass over the labels, which keeps
nothing but the gradient of the coarse scores, in float32; the backward pass multiplies it by
what arrives there. Four forms:

- `upsample_cross_entropy_bands`: a compiled kernel for the CPU;
- `upsample_cross_entropy_pixels`: another for scores that need no upsampling, which keeps only
  these and computes the gradient in the backward pass;
- `upsample_cross_entropy_triton`: a kernel for CUDA devices, where Triton works;
- `upsample_cross_entropy_torch`: torch operations on some lines at a time, for all else: float64,
  other devices, scores that need no upsampling there, and maps so small that loading numba (0.6 s)
  would not pay.

Which one is taken depends on shape, dtype and device only, so that a run that was resumed computes
the same bits. All are deterministic.
"""

import functools
import logging
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from atrous.errors import InputError, unknown
from atrous.ops.upsample_cross_entropy_torch import Classes, Totals, sum_in_lines

__all__ = ["upsample_cross_entropy"]

LARGE = 2**18
"""So many full-size scores are worth loading the kernel."""
REDUCTIONS = ("mean", "sum")

_log = logging.getLogger(__name__)


def upsample_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = 255,
    label_smoothing: float = 0.0,
    align_corners: bool = False,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Return `cross_entropy(resize(scores, size of labels), labels)` in a fraction of its memory.

    Second derivatives do not exist.

    Args:
        scores: (N, K, h, w) logits at any stride, any floating dtype and memory format; computed
            in float32 (float64 in its own), also under autocast. Scores that are NaN or infinite
            make the loss NaN where a labelled pixel sees them.
        labels: (N, H, W) integers in 0..K-1, or `ignore_index`: no loss, no gradient. uint8 needs
            no copy.
        weight: (K,) factor of each class; None: 1. It gets no gradient.
        ignore_index: Label of void; may lie outside of the classes.
        label_smoothing: Share of each label that is spread evenly over the classes, in [0, 1], and
            weighed there by `weight`, as torch does.
        align_corners: Corner convention, as in `resize`.
        reduction: "sum" over the labelled pixels; "mean" divides by the weights of their labels,
            as torch does. Without a labelled pixel, or where all weigh nothing, both are 0 with
            zero gradients (torch's mean is NaN).

    Returns:
        A number: float32, or float64 for such scores.

    Raises:
        InputError: Shapes that do not fit, labels that are no integers or no classes, an impossible
            smoothing or reduction.

    Example:
        >>> scores, labels = torch.zeros(1, 4, 2, 2), torch.tensor([[[0, 1, 255], [3, 3, 2]]])
        >>> f"{upsample_cross_entropy(scores, labels):.4f}"  # log 4
        '1.3863'
    """
    _refuse(scores, labels, weight, label_smoothing, reduction)
    classes = _classes(scores, weight, ignore_index, label_smoothing)
    has_gradient = torch.is_grad_enabled() and scores.requires_grad
    if labels.dtype != torch.uint8:
        labels = labels.long()
    loss: Tensor
    loss, total = _Sum.apply(scores, labels, classes, align_corners, has_gradient)
    return loss if reduction == "sum" else loss / torch.where(total > 0, total, 1)


class _Context(Protocol):
    """What torch hands from a forward to its backward pass."""

    dtype: torch.dtype
    classes: Classes
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


class _Sum(torch.autograd.Function):
    """Summed loss and weight of the labelled pixels; most forms compute the gradient on the way."""

    @staticmethod
    def forward(
        ctx: _Context,
        scores: Tensor,
        labels: Tensor,
        classes: Classes,
        align_corners: bool,
        has_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        form = _form_for(scores, labels)
        loss, total, gradient = form(scores.detach(), labels, classes, align_corners, has_gradient)
        ctx.dtype, ctx.classes = scores.dtype, classes
        if gradient is not None:
            ctx.save_for_backward(gradient)
        elif has_gradient:
            ctx.save_for_backward(scores, labels)
        ctx.mark_non_differentiable(total)
        return loss, total

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.saved_tensors) == 1:
            (gradient,) = ctx.saved_tensors
            gradient = gradient * upstream
        else:
            from atrous.ops.upsample_cross_entropy_pixels import gradient_in_pixels

            scores, labels = ctx.saved_tensors
            gradient = gradient_in_pixels(scores, labels, ctx.classes, upstream)
        return gradient.to(ctx.dtype), None, None, None, None


class _Form(Protocol):
    """One way to compute the sums."""

    def __call__(
        self,
        scores: Tensor,
        labels: Tensor,
        classes: Classes,
        align_corners: bool,
        has_gradient: bool,
    ) -> Totals: ...


def _form_for(scores: Tensor, labels: Tensor) -> _Form:
    """Choose by dtype, device and shape alone."""
    is_compiled = scores.device.type == "cpu" and labels.numel() * scores.shape[1] >= LARGE
    if scores.dtype == torch.float64:
        return sum_in_lines
    if scores.shape[2:] == labels.shape[1:]:
        if not is_compiled:
            return sum_in_lines
        from atrous.ops.upsample_cross_entropy_pixels import sum_in_pixels

        return sum_in_pixels
    if is_compiled:
        from atrous.ops.upsample_cross_entropy_bands import sum_in_bands

        return sum_in_bands
    if scores.device.type == "cuda" and _triton_works():
        from atrous.ops.upsample_cross_entropy_triton import sum_with_triton

        return sum_with_triton
    return sum_in_lines


@functools.cache
def _triton_works() -> bool:
    """Try it once on something tiny: Triton, a C compiler or a GPU that it knows may be missing."""
    try:
        from atrous.ops.upsample_cross_entropy_triton import sum_with_triton

        scores = torch.zeros(1, 2, 2, 2, device="cuda")
        classes = _classes(scores, None, 255, 0.0)
        labels = torch.zeros(1, 4, 4, dtype=torch.uint8, device="cuda")
        sum_with_triton(scores, labels, classes, False, True)
    except Exception as error:
        _log.warning("the cross entropy runs in torch, which is slower than Triton: %s", error)
        return False
    return True


def _classes(
    scores: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float
) -> Classes:
    """Return what each class counts.

    With smoothing e, class weights w and K classes, torch's loss of a pixel with label y is
    (1 - e) w_y (L - z_y) + e / K sum_k w_k (L - z_k), where L = log sum exp(z).
    """
    dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
    weights = torch.ones(scores.shape[1]) if weight is None else weight.detach()
    weights = weights.to(scores.device, dtype)
    hits = (1 - label_smoothing) * weights
    smooth = label_smoothing / scores.shape[1] * weights
    return Classes(weights, hits, hits + smooth.sum(), smooth, label_smoothing > 0, ignore_index)


def _refuse(
    scores: Tensor, labels: Tensor, weight: Tensor | None, label_smoothing: float, reduction: str
) -> None:
    """Raise an InputError for what cannot be computed."""
    sizes_fit = scores.ndim == 4 and labels.ndim == 3 and scores.shape[0] == labels.shape[0]
    if not sizes_fit or min(*scores.shape, *labels.shape) < 1 or not scores.is_floating_point():
        raise InputError(
            f"{scores.dtype} scores of shape {tuple(scores.shape)} and labels of shape "
            f"{tuple(labels.shape)} do not go together; give floating (N, K, h, w) and (N, H, W)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels are {labels.dtype}; give integers, best torch.uint8")
    if weight is not None and tuple(weight.shape) != (scores.shape[1],):
        raise InputError(
            f"weight has shape {tuple(weight.shape)}; give one number for each of the "
            f"{scores.shape[1]} classes"
        )
    if not 0 <= label_smoothing <= 1:
        raise InputError(f"label_smoothing is {label_smoothing}; give a fraction in [0, 1]")
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
