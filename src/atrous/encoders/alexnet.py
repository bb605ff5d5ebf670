"""AlexNet: five convolutions and three poolings (Krizhevsky et al., NIPS 2012), in two forms.

`AlexNet` is the one-tower network of "One weird trick" (Krizhevsky, arXiv:1404.5997) as torchvision
trained it: its layer names, so its public weights load. `CaffeNet` is the one that FCN's release
starts from: the paper's widths and groups, and a local response norm after the first two poolings
(the paper: before them). That norm expects images in 0..255: they lose the mean and are not divided
by their spread. Nobody has published weights for it in a form that loads here. The fully connected
layers, where a network asks for them, are convolutions (FCN, Sec. 3.1).

Departures from the papers: by default layers keep sizes, so that a stage has ceil(size / stride)
cells, where the papers lose a border; `first_padding` gives their layout back. The stage of stride
2, which the network does not have, is the image averaged over 2x2. With an output stride below 32
the last poolings keep the resolution and what follows is dilated.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from atrous.layers import MaxPool
from atrous.ops import Normalization

__all__ = ["AlexNet", "CaffeNet", "fully_convolutional"]

_KERNELS = (11, 5, 3, 3, 3)
_POOLED = (0, 1, 4)  # convolutions that a 3x3 pooling of stride 2 follows


class AlexNet(nn.Module):
    """The encoder: the image halved, the first convolution, then each pooling.

    `origins` says where on the image the first cell of each stage is centred, in pixels from the
    first one's centre.

    Args:
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
        first_padding: Zero padding of the first convolution where the poolings have none, as in
            Caffe and torchvision (2; FCN: 100). None pads all of them so that sizes are kept.
        classifier: What follows the last stage (`fully_convolutional`); `forward` leaves it alone.
    """

    widths: tuple[int, ...] = (64, 192, 384, 256, 256)
    groups: tuple[int, ...] = (1, 1, 1, 1, 1)
    response_norm: bool = False

    def __init__(
        self,
        in_channels: int = 3,
        *,
        output_stride: int = 32,
        first_padding: int | None = None,
        classifier: nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(*self._layers(in_channels, output_stride, first_padding))
        if classifier is not None:
            self.classifier = classifier
        first, second, *_, last = self.widths
        self.channels: tuple[int, ...] = (in_channels, first, first, second, last)
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
        self.output_stride = output_stride
        corner = 0 if first_padding is None else 5 - first_padding
        step = 0 if first_padding is None else 4  # a 3x3 window is centred one cell further on
        self.origins = (0.5, *(float(corner + step * n) for n in (0, 1, 3, 7)))
        figures = Normalization.caffe if self.response_norm else Normalization.for_channels
        self.normalization = figures(in_channels)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps."""
        x, stages = images, [functional.avg_pool2d(images, 2, ceil_mode=True)]
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index == 1 or isinstance(layer, nn.MaxPool2d | MaxPool):
                stages.append(x)
        return stages

    def _layers(
        self, in_channels: int, output_stride: int, first_padding: int | None
    ) -> Iterator[nn.Module]:
        """Yield convolutions, ReLUs, poolings and norms in torchvision's order."""
        reached, dilation = 4, 1
        for index, (width, kernel, groups) in enumerate(
            zip(self.widths, _KERNELS, self.groups, strict=True)
        ):
            padding = dilation * (kernel // 2)
            if index == 0 and first_padding is not None:
                padding = first_padding
            stride = 4 if index == 0 else 1
            yield nn.Conv2d(in_channels, width, kernel, stride, padding, dilation, groups)
            yield nn.ReLU(inplace=True)
            in_channels = width
            if index not in _POOLED:
                continue
            dense = reached == output_stride
            stride = 1 if dense else 2
            if first_padding is None:
                yield MaxPool(3, stride=stride, dilation=dilation, centred=True)
            else:
                yield nn.MaxPool2d(3, stride, dilation=dilation, ceil_mode=True)
            reached, dilation = (reached, 2 * dilation) if dense else (2 * reached, dilation)
            if self.response_norm and index < 2:
                yield nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)


class CaffeNet(AlexNet):
    """The 2012 paper's widths and groups; pooling before the norm, as in Caffe's model zoo."""

    widths = (96, 256, 384, 384, 256)
    groups = (1, 2, 1, 2, 2)
    response_norm = True

    def _initialise(self) -> None:
        """Draw from a normal of std 0.01; biases 1 but for the first and third (Sec. 5)."""
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        for index, convolution in enumerate(convolutions):
            nn.init.normal_(convolution.weight, std=0.01)
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, 0.0 if index in (0, 2) else 1.0)


def fully_convolutional(channels: int = 4096, *, padding: int = 0) -> nn.Sequential:
    """Return fc6 (6x6) and fc7 (1x1) as convolutions, each with ReLU and dropout 0.5.

    Numbered as in torchvision's classifier, whose (4096, 256 * 6 * 6) weights are these, reshaped;
    dropout follows each layer, as in Caffe, where torchvision has it before.

    Args:
        channels: Width of both layers.
        padding: Of fc6; 0 loses five cells, 3 gains one (an even kernel cannot keep the number).
    """
    return nn.Sequential(
        nn.Identity(),
        nn.Conv2d(256, channels, 6, padding=padding),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )
