"""What a segmentation network asks of its encoder."""

from typing import Literal, Protocol

from torch import Tensor

from atrous.ops import Normalization

__all__ = ["Encoder", "Padding"]

Padding = Literal["symmetric", "same"]
"""How strided convolutions are padded: one pixel all around, or as TensorFlow's "SAME"."""


class Encoder(Protocol):
    """A network that turns images into five feature maps, from fine to coarse.

    Attributes:
        channels: Width of each stage.
        strides: Image pixels per cell of each stage: 2, 4, 8, 16, 32, but at most
            `output_stride`. A stage has ceil(size / stride) cells (some timm networks: floor).
        output_stride: Stride of the last stage.
        normalization: What its public ImageNet weights were trained on.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    output_stride: int
    normalization: Normalization

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps (N, channels[i], h_i, w_i)."""
        ...
