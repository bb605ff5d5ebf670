"""What a segmentation network asks of its encoder."""

from typing import Literal, Protocol

from torch import Tensor

from atrous.ops import Normalization

__all__ = ["Encoder", "Padding"]

Padding = Literal["symmetric", "same", "early"]
"""How 3x3 convolutions are padded: one pixel all around; the strided ones as TensorFlow's "SAME";
or, in MobileNetV2's units, before the 1x1 that goes ahead of them (see `mobilenet_v2.py`)."""


class Encoder(Protocol):
    """A network that turns images into five feature maps, from fine to coarse.

    Attributes:
        channels: Width of each stage.
        strides: Image pixels per cell of each stage: 2, 4, 8, 16, 32, but at most
            `output_stride`. A stage has ceil(size / stride) cells.
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
