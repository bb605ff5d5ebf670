"""Shift-and-stitch: dense scores from a strided network, no weight changed (FCN, Sec. 3.2).

The image is shifted right and down by every number of pixels below the stride, the network sees
each shifted copy, and the coarse score maps are interlaced. That gives what the network would give
if its strides were 1 and its later filters were dilated to match (a trous), at the cost of
(stride / wanted) ** 2 passes, but in the memory of one. The paper describes it and prefers learned
upsampling; with `wanted` it also makes a network of output stride 32 answer at 16 or 8.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from atrous.errors import InputError

__all__ = ["shift_and_stitch"]


def shift_and_stitch(
    score: Callable[[Tensor], Tensor], images: Tensor, stride: int, *, wanted: int = 1
) -> Tensor:
    """Return the scores of a strided network at a finer stride.

    Cell p of the result is centred `wanted` * p pixels after the first cell of `score(images)`; the
    cells at multiples of stride / wanted are those of `score(images)` itself. The two ways agree
    to rounding wherever no padding is seen: the padding of this one begins outside the shifted
    image, that of a dilated network inside it at every layer.

    Args:
        score: Maps (N, C, H, W) to (N, K, h, w), one cell every `stride` pixels. It must commute
            with shifts by the stride: convolutions and poolings do, resizing to the input does not.
        images: (N, C, H, W), normalised: what is shifted in is zero.
        stride: Pixels between two cells of `score`.
        wanted: Pixels between two cells of the result; divides `stride`.

    Raises:
        InputError: `wanted` does not divide `stride`.

    Example:
        >>> import torch
        >>> halve = torch.nn.MaxPool2d(2)
        >>> shift_and_stitch(halve, torch.arange(6.0).view(1, 1, 1, 6).expand(-1, -1, 2, -1), 2)
        tensor([[[[1., 2., 3., 4., 5.]]]])
    """
    if wanted < 1 or stride % wanted:
        raise InputError(f"wanted is {wanted}, but must divide the stride {stride}")
    factor = stride // wanted
    parts = {
        (down, right): score(functional.pad(images, (right * wanted, 0, down * wanted, 0)))
        for down in range(factor)
        for right in range(factor)
    }
    height = max(factor * (part.shape[-2] - 1) - down for (down, _), part in parts.items()) + 1
    width = max(factor * (part.shape[-1] - 1) - right for (_, right), part in parts.items()) + 1
    first = parts[0, 0]
    dense = first.new_empty(*first.shape[:2], height, width)
    for (down, right), part in parts.items():
        # after a shift by d the cells 0, 1, ... stand for the places -d, f - d, ...; -d is outside
        inside = part[..., min(down, 1) :, min(right, 1) :]
        dense[..., -down % factor :: factor, -right % factor :: factor] = inside
    return dense
