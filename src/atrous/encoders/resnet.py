"""ResNet: residual units in four stages (He et al., CVPR 2016, Table 1), and their dilated forms.

Layer names are torchvision's (`layer1.0.conv1.weight`; those of a deep stem are timm's), so public
weights load unchanged; average pooling and classifier are left out.

Departures from the paper:
- The stride of a stage lies in the 3x3 of its first bottleneck, as in torchvision's weights; the
  paper and its Caffe release, whose pooling also rounds up, have it in the 1x1 before (`caffe`).
- `deep_stem` takes three 3x3 convolutions of 64, 64 and 128 channels for the 7x7, as the releases
  of PSPNet and DeepLab v3 do.
- Below output stride 32 the last stages trade their stride for dilation, by default so that the
  dilated network computes the very features of the strided one, denser: the first unit of such a
  stage keeps the dilation before it (torchvision), or takes the stage's own where the stride lies
  in the 1x1. With `even_dilation` it always does (PSPNet, DeepLab v2 and v3).
  `multi_grid` multiplies the dilations of block4 (DeepLab v3).
- The last scale of every unit begins at zero, as in timm: a deep network starts as a shallow one.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.layers import BatchNorm
from atrous.ops import Normalization

__all__ = ["BasicUnit", "BottleneckUnit", "ResNet"]


class ResNet(nn.Module):
    """The encoder: the stem before its pooling, then block1 to block4 (conv2_x to conv5_x).

    Args:
        depth: 18 or 34 (two 3x3 per unit), 50, 101 or 152 (bottlenecks).
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
        deep_stem: Three 3x3 convolutions instead of one 7x7.
        caffe: Stride in the 1x1 of a bottleneck, and a pooling that rounds up.
        even_dilation: Dilate the first unit of a dilated stage like the others. None is what keeps
            the features of the strided network: only where the stride lies in the 1x1.
        multi_grid: Factors on the dilations of the units of block4; None is 1 for each.
        stages: How many are kept, the stem included; 5 is all.

    Raises:
        InputError: `multi_grid` has not one factor per unit.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        *,
        output_stride: int = 32,
        deep_stem: bool = False,
        caffe: bool = False,
        even_dilation: bool | None = None,
        multi_grid: Sequence[int] | None = None,
        stages: int = 5,
    ) -> None:
        super().__init__()
        self.unit, repeats = _DEPTHS[depth]
        self.multi_grid = tuple(multi_grid or (1,) * repeats[-1])
        if len(self.multi_grid) != repeats[-1]:
            raise InputError(
                f"multi_grid {self.multi_grid} names {len(self.multi_grid)} units, but block4 of "
                f"resnet{depth} has {repeats[-1]}; give one factor for each"
            )
        self.caffe = caffe
        evenly = caffe if even_dilation is None else even_dilation
        self.conv1 = _deep_stem(in_channels) if deep_stem else _seven(in_channels)
        self.bn1 = BatchNorm(128 if deep_stem else 64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=caffe)
        channels, reached, dilation = 128 if deep_stem else 64, 4, 1
        self.channels: tuple[int, ...] = (channels,)
        for index, (width, count) in enumerate(zip(_WIDTHS, repeats, strict=True)):
            stride, before = 1 if index == 0 else 2, dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            if index + 1 < stages:
                rates = (dilation if evenly else before, dilation)
                grid = self.multi_grid if index == 3 else (1,) * count
                stage = self._stage(channels, width, grid, stride=stride, rates=rates)
                self.add_module(f"layer{index + 1}", stage)
                channels = width * self.unit.expansion
                self.channels += (channels,)
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32)[:stages])
        self.output_stride = self.strides[-1]
        self.normalization = Normalization.for_channels(in_channels)
        _initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps, each ceil(H / stride) high.

        Caffe's pooling makes maps of one cell more where H / 2 is even.
        """
        stages = [functional.relu(self.bn1(self.conv1(images)))]
        x = self.maxpool(stages[0])
        for index in range(1, len(self.channels)):
            x = self.get_submodule(f"layer{index}")(x)
            stages.append(x)
        return stages

    def replica(self, dilation: int) -> nn.Sequential:
        """Return one more stage like block4, of stride 1 (DeepLab v3, Sec. 3.2, Fig. 3).

        Args:
            dilation: Of its 3x3 convolutions, before `multi_grid`.
        """
        stage = self._stage(
            self.channels[-1], _WIDTHS[-1], self.multi_grid, stride=1, rates=(dilation, dilation)
        )
        _initialise(stage)
        return stage

    def _stage(
        self,
        in_channels: int,
        width: int,
        grid: Sequence[int],
        *,
        stride: int,
        rates: tuple[int, int],
    ) -> nn.Sequential:
        """Return the units of a stage; `rates` are the dilations of the first and the others."""
        units: list[nn.Module] = []
        for index, factor in enumerate(grid):
            dilations = (rates[min(index, 1)] * factor, rates[1] * factor)
            step = stride if index == 0 else 1
            units.append(self.unit(in_channels, width, step, dilations, caffe=self.caffe))
            in_channels = width * self.unit.expansion
        return nn.Sequential(*units)


class BasicUnit(nn.Module):
    """Two 3x3 convolutions and a shortcut (Fig. 2).

    Args:
        in_channels: Channels that come.
        width: Channels that leave.
        stride: Of the first convolution.
        dilations: Of the first and the second convolution.
        caffe: Nothing here; see `BottleneckUnit`.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        *,
        caffe: bool = False,
    ) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = _conv(in_channels, width, 3, stride=stride, dilation=first)
        self.bn1 = BatchNorm(width)
        self.conv2 = _conv(width, width, 3, dilation=second)
        self.bn2 = BatchNorm(width)
        self.downsample = _projection(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + shortcut)


class BottleneckUnit(nn.Module):
    """1x1 to a quarter of the channels, 3x3, 1x1 back, and a shortcut (Fig. 5).

    Args:
        in_channels: Channels that come.
        width: Channels of the 3x3; four times as many leave.
        stride: Of the 3x3.
        dilations: The first is that of the 3x3.
        caffe: The stride lies in the first 1x1.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        *,
        caffe: bool = False,
    ) -> None:
        super().__init__()
        strides = (stride, 1) if caffe else (1, stride)
        self.conv1 = _conv(in_channels, width, 1, stride=strides[0])
        self.bn1 = BatchNorm(width)
        self.conv2 = _conv(width, width, 3, stride=strides[1], dilation=dilations[0])
        self.bn2 = BatchNorm(width)
        self.conv3 = _conv(width, width * self.expansion, 1)
        self.bn3 = BatchNorm(width * self.expansion)
        self.downsample = _projection(in_channels, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + shortcut)


_WIDTHS = (64, 128, 256, 512)
_DEPTHS: dict[int, tuple[type[BasicUnit] | type[BottleneckUnit], tuple[int, ...]]] = {
    18: (BasicUnit, (2, 2, 2, 2)),
    34: (BasicUnit, (3, 4, 6, 3)),
    50: (BottleneckUnit, (3, 4, 6, 3)),
    101: (BottleneckUnit, (3, 4, 23, 3)),
    152: (BottleneckUnit, (3, 8, 36, 3)),
}  # Table 1


def _conv(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Return the 1x1 shortcut of a unit that changes the shape (Sec. 4.1, option B)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        _conv(in_channels, out_channels, 1, stride=stride), BatchNorm(out_channels)
    )


def _seven(in_channels: int) -> nn.Conv2d:
    return _conv(in_channels, 64, 7, stride=2)


def _deep_stem(in_channels: int) -> nn.Sequential:
    """Return three 3x3 convolutions; the norm of the third is the stem's `bn1`, as in timm."""
    return nn.Sequential(
        _conv(in_channels, 64, 3, stride=2),
        BatchNorm(64),
        nn.ReLU(inplace=True),
        _conv(64, 64, 3),
        BatchNorm(64),
        nn.ReLU(inplace=True),
        _conv(64, 128, 3),
    )


def _initialise(network: nn.Module) -> None:
    """Draw convolutions from a normal of std sqrt(2 / fan out); units begin as their shortcut."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, BasicUnit):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, BottleneckUnit):
            nn.init.zeros_(module.bn3.weight)
