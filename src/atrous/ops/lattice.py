"""Score maps that lie on the image corner to corner, for images of any size.

A network of odd kernels with symmetric padding puts cell i over pixel `stride` i. Its map covers
an image of `stride` k + 1 pixels exactly; every other image is padded up to the next such size,
and the map is trimmed back to the image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["pad_to_lattice", "trim"]


def pad_to_lattice(images: Tensor, stride: int, remainder: int = 1) -> Tensor:
    """Add zeros at the bottom and the right, up to a size `stride` k + `remainder`.

    Args:
        images: (N, C, H, W), normalised: zero is the mean pixel.
        stride: Pixels between two cells of the map.
        remainder: 1, or what the network's poolings ask for instead.

    Example:
        >>> pad_to_lattice(torch.ones(1, 3, 500, 375), 8).shape
        torch.Size([1, 3, 505, 377])
    """
    height, width = images.shape[-2:]
    bottom, right = (remainder - height) % stride, (remainder - width) % stride
    return functional.pad(images, (0, right, 0, bottom))


def trim(x: Tensor, padded_size: Sequence[int], size: Sequence[int]) -> Tensor:
    """Resample a map over the padded image to its part over the image, both corner to corner.

    The cells stay as many and move together, by bilinear interpolation; where nothing was padded
    the map returns as it came.

    Args:
        x: (N, C, h, w), its corner cells over the corner pixels of the padded image.
        padded_size: (height, width) after `pad_to_lattice`.
        size: (height, width) before it.

    Example:
        >>> trim(torch.tensor([[[[0.0, 8.0, 16.0]]]]), (1, 17), (1, 13))  # each its own pixel
        tensor([[[[ 0.,  6., 12.]]]])
    """
    for axis in (-2, -1):
        if size[axis] != padded_size[axis]:
            dtype = torch.promote_types(x.dtype, torch.float32)  # bf16 counts to 256 only
            cells = torch.arange(x.shape[axis], dtype=dtype, device=x.device)
            places = cells * ((size[axis] - 1) / (padded_size[axis] - 1))
            weights = (1 - (places[:, None] - cells).abs()).clamp(min=0).to(x.dtype)
            x = weights @ x if axis == -2 else x @ weights.mT
    return x
