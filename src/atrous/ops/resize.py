"""Bilinear resizing of score maps and images."""

from torch import Tensor
from torch.nn import functional

__all__ = ["resize"]


def resize(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Resize (N, C, h, w) to (N, C, *size) bilinearly; the same tensor if the size is right.

    Args:
        x: Any floating dtype.
        size: (height, width) wanted.
        align_corners: True where TensorFlow's and Caffe's systems put pixel centres (the corner
            pixels keep their values); False for torchvision's convention.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=align_corners)
