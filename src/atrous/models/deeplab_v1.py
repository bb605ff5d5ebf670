"""DeepLab v1: the hole algorithm on VGG-16 (Chen et al., ICLR 2015, arXiv:1412.7062).

Poolings 4 and 5 keep the resolution and the convolutions behind them look through holes, so that
ImageNet's filters give scores at stride 8. Where the paper is silent the authors' release decides.
Its score map lies on the image corner to corner (`align_corners`), cell i over pixel 8 i: that
fits sizes 8 k + 1 such as its crop of 321. Other images are padded with the mean pixel.

Departures from the paper:
- The release pads a test image to 513 and crops the upsampled scores. Here the padding ends at
  the next size that fits, and the coarse map is resampled to its part over the image (`trim`).
- The branches of MSc train with the network; the paper trains them last, the network frozen.
  Their classifiers are drawn alike; in the release that of pool3 begins at zero.
- fc6 and fc7 from ImageNet keep every fourth filter instead of a random quarter.
- Images are normalised as the encoder's weights want it (the release: BGR, mean subtracted).
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from torch import Tensor, nn

from atrous.errors import unknown
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization, pad_to_lattice, trim

__all__ = [
    "FC6",
    "DeepLabV1",
    "Fc6",
    "HoleVGG16",
    "deeplab_v1",
    "fc6_fc7",
    "gaussian",
]


class Fc6(NamedTuple):
    """The convolution that fc6 becomes, and the width of fc6 and fc7."""

    kernel_size: int
    rate: int
    channels: int


FC6: dict[str, Fc6] = {
    "7x7": Fc6(7, 4, 4096),
    "plain": Fc6(4, 4, 4096),
    "4x4": Fc6(4, 8, 4096),
    "large_fov": Fc6(3, 12, 1024),
}
"""DeepLab-7x7, DeepLab, DeepLab-4x4 and DeepLab-LargeFOV (Table 2)."""


class DeepLabV1(SegmentationModel):
    """VGG-16 at stride 8, fc6 with holes, a score of every cell (Sec. 3).

    Args:
        encoder: The trunk with fc6 and fc7.
        num_classes: Number of labels K, background included.
        fc_channels: Width of fc7.
        msc: Multi-scale prediction: the image and pools 1 to 4 are scored too (Sec. 4.3).
    """

    align_corners = True

    def __init__(
        self, encoder: "HoleVGG16", num_classes: int, *, fc_channels: int = 1024, msc: bool = False
    ) -> None:
        super().__init__()
        self.feature_channels = fc_channels
        self.encoder = encoder
        self.fc8 = gaussian(nn.Conv2d(fc_channels, num_classes, 1), 0.01)
        sources = (encoder.in_channels, *encoder.channels[:4]) if msc else ()
        self.msc = nn.ModuleList(
            _msc_branch(channels, num_classes, stride=stride, std=std)
            for channels, (stride, std) in zip(sources, _MSC, strict=False)
        )

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H/8, W/8)."""
        padded = pad_to_lattice(images, 8, self.encoder.remainder)
        *pools, pool5 = self.encoder(padded)
        fc7 = self.encoder.classifier(pool5)
        scores = self.fc8(fc7)
        for branch, source in zip(self.msc, (padded, *pools), strict=False):
            scores = scores + branch(source)  # the paper's 1x1 over the concatenation, summed
        whole, size = padded.shape[-2:], images.shape[-2:]
        return Scores(trim(scores, whole, size), features=trim(fc7, whole, size))


class HoleVGG16(nn.Module):
    """VGG-16 without its last two strides: five stages, each as it leaves its pooling.

    Layer names are torchvision's, so that its public weights load. No pooling is dilated: the
    release leaves that out behind pool4, whose stride is gone.

    Args:
        in_channels: Channels of the images.
        classifier: What follows the last stage (`fc6_fc7`, several in DeepLab v2); `forward`
            leaves it alone.
        pool_size: 3 in the release's LargeFOV and MSc networks, 2 in the others.
        pool5a: One more pooling, an average over 3x3 (the release's LargeFOV).
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        classifier: nn.Sequential | nn.ModuleList,
        pool_size: int = 3,
        pool5a: bool = False,
    ) -> None:
        super().__init__()
        pools = _POOLS_3 if pool_size == 3 else _POOLS_2
        self.features = nn.Sequential(*_layers(in_channels, pools))
        if pool5a:
            self.features.append(nn.AvgPool2d(3, stride=1, padding=1))  # counts zeros, as Caffe
        self.classifier = classifier
        self.in_channels = in_channels
        self.channels = tuple(stage.channels for stage in _STAGES)
        self.strides = (2, 4, 8, 8, 8)
        self.output_stride = 8
        self.remainder = 1 if pool_size == 3 else 2  # of the sizes 8 k + r that lose no border
        self.normalization = Normalization.for_channels(in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, 8 k + r, 8 l + r) to five maps, the last (k + 1, l + 1)."""
        x, stages = images, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                stages.append(x)
        return [*stages[:-1], x]


def deeplab_v1(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    fc6: Literal["7x7", "plain", "4x4", "large_fov"] = "large_fov",
    msc: bool = False,
    pool5a: bool | None = None,
    fc_channels: int | None = None,
) -> DeepLabV1:
    """Build DeepLab v1, whose encoder is VGG-16.

    Args:
        encoder_name: "vgg16".
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        fc6: The variant of Table 2.
        msc: Multi-scale prediction from the image and pools 1 to 4.
        pool5a: The average pooling before fc6; None: with "large_fov" only, as in the release.
        fc_channels: Width of fc6 and fc7; None is that of Table 2.

    Raises:
        InputError: Another encoder.
    """
    if encoder_name != "vgg16":
        raise unknown("encoder of deeplab_v1", encoder_name, ["vgg16"])
    large_fov = fc6 == "large_fov"
    kernel_size, rate, channels = FC6[fc6]
    channels = fc_channels or channels
    encoder = HoleVGG16(
        in_channels,
        classifier=fc6_fc7(Fc6(kernel_size, rate, channels)),
        pool_size=3 if large_fov or msc else 2,
        pool5a=large_fov if pool5a is None else pool5a,
    )
    return DeepLabV1(encoder, num_classes, fc_channels=channels, msc=msc)


def fc6_fc7(fc6: Fc6) -> nn.Sequential:
    """Return fc6 with holes and fc7 (1x1), each with ReLU and dropout 0.5, as in the release.

    Numbered as in torchvision's classifier. The map keeps its size.
    """
    kernel_size, rate, channels = fc6
    padding = rate * (kernel_size - 1) // 2
    return nn.Sequential(
        nn.Conv2d(512, channels, kernel_size, padding=padding, dilation=rate),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )


def gaussian(layer: nn.Conv2d, std: float) -> nn.Conv2d:
    """Draw the weights from a normal distribution and set the biases to zero, as the release."""
    nn.init.normal_(layer.weight, std=std)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


_MSC = ((8, 0.001), (4, 0.001), (2, 0.001), (1, 0.001), (1, 0.005))
"""Stride of each source's 3x3 convolution, and the spread of its 1x1 at the start (release)."""


def _msc_branch(in_channels: int, num_classes: int, *, stride: int, std: float) -> nn.Sequential:
    """Return 3x3 and 1x1 convolutions of width 128 and the source's share of the scores."""
    return nn.Sequential(
        gaussian(nn.Conv2d(in_channels, 128, 3, stride=stride, padding=1), 0.001),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        gaussian(nn.Conv2d(128, 128, 1), std),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        gaussian(nn.Conv2d(128, num_classes, 1), 0.01),
    )


class _Stage(NamedTuple):
    channels: int
    convolutions: int
    dilation: int


_STAGES = (
    _Stage(64, 2, 1),
    _Stage(128, 2, 1),
    _Stage(256, 3, 1),
    _Stage(512, 3, 1),
    _Stage(512, 3, 2),  # behind pool4, which has lost its stride
)
# (kernel, stride, padding) of the five poolings
_POOLS_3 = ((3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1))
_POOLS_2 = ((2, 2, 1), (2, 2, 1), (2, 2, 1), (2, 1, 0), (3, 1, 1))


def _layers(in_channels: int, pools: tuple[tuple[int, int, int], ...]) -> Iterator[nn.Module]:
    """Yield convolutions, ReLUs and poolings in torchvision's order."""
    for (channels, convolutions, dilation), pool in zip(_STAGES, pools, strict=True):
        for _ in range(convolutions):
            yield nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
            yield nn.ReLU(inplace=True)
            in_channels = channels
        yield nn.MaxPool2d(*pool)
