"""VGG-16 and VGG-19: 3x3 convolutions and five poolings (Simonyan & Zisserman, ICLR 2015).

Layer names are torchvision's (`features.28.weight`, `classifier.0.weight`), so its public weights
load; the fully connected layers, where a network asks for them, are convolutions (FCN, Sec. 3.1).

Departures from the paper: poolings round up, as Caffe's do and FCN's crop offsets need; with an
output stride below 32 the last poolings keep the resolution and what follows is dilated.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from atrous.ops import Normalization

__all__ = ["VGG", "VGG16", "VGG19", "DensePool", "fully_convolutional"]

_CHANNELS = (64, 128, 256, 512, 512)  # of the five stages (Table 1)


class VGG(nn.Module):
    """The encoder: each of the five stages as it leaves its pooling.

    `VGG16` and `VGG19` say how many convolutions a stage has. `origins` says where on the image
    the first cell of each stage is centred, in pixels from the first one's centre.

    Args:
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
        first_padding: Zero padding of the first convolution; FCN's is 100.
        classifier: What follows the last stage (`fully_convolutional`); `forward` leaves it alone.
    """

    convolutions: tuple[int, ...]

    def __init__(
        self,
        in_channels: int = 3,
        *,
        output_stride: int = 32,
        first_padding: int = 1,
        classifier: nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_layers(self.convolutions, in_channels, output_stride, first_padding)
        )
        if classifier is not None:
            self.classifier = classifier
        self.channels: tuple[int, ...] = _CHANNELS
        self.origins = tuple(1 - first_padding + (2**stage - 1) / 2 for stage in range(1, 6))
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
        self.output_stride = output_stride
        self.normalization = Normalization.for_channels(in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five pooled maps, each ceil(H / stride) high."""
        x, stages = images, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d | DensePool):
                stages.append(x)
        return stages


class VGG16(VGG):
    """Thirteen convolutions (Table 1, D)."""

    convolutions = (2, 2, 3, 3, 3)


class VGG19(VGG):
    """Sixteen convolutions (Table 1, E)."""

    convolutions = (2, 2, 4, 4, 4)


def fully_convolutional(channels: int = 4096, *, padding: int = 0) -> nn.Sequential:
    """Return fc6 (7x7) and fc7 (1x1) as convolutions, each with ReLU and dropout 0.5.

    Numbered as in torchvision's classifier, whose (4096, 512 * 7 * 7) weights are these, reshaped.

    Args:
        channels: Width of both layers.
        padding: Of fc6; 0 loses three cells on every side, 3 none.
    """
    return nn.Sequential(
        nn.Conv2d(512, channels, 7, padding=padding),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )


class DensePool(nn.Module):
    """The 2x2 max pooling of a dilated stage: stride 1, taps `dilation` apart, same size.

    Its values at every second position (for dilation 1) are those of the strided pooling.
    """

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W), never negative after a ReLU, to the same shape."""
        x = functional.pad(x, (0, self.dilation, 0, self.dilation))
        return functional.max_pool2d(x, 2, stride=1, dilation=self.dilation)


def _layers(
    convolutions: tuple[int, ...], in_channels: int, output_stride: int, first_padding: int
) -> Iterator[nn.Module]:
    """Yield convolutions, ReLUs and poolings in torchvision's order."""
    reached, dilation, padding = 1, 1, first_padding
    for channels, count in zip(_CHANNELS, convolutions, strict=True):
        for _ in range(count):
            yield nn.Conv2d(in_channels, channels, 3, padding=padding, dilation=dilation)
            yield nn.ReLU(inplace=True)
            in_channels, padding = channels, dilation
        if reached < output_stride:
            yield nn.MaxPool2d(2, ceil_mode=True)
            reached *= 2
        else:
            yield DensePool(dilation)
            dilation *= 2
            padding = dilation
