"""MobileNetV2: inverted residuals and linear bottlenecks (Sandler et al., CVPR 2018).

Layer names are torchvision's (`features.0.0.weight`), so its public weights load unchanged; the
classifier is left out, and so is the 1280-channel layer, as DeepLab does, unless asked for.

Departures from the paper: with an output stride below 32 the later stages trade their stride for
dilation. By default the first unit of such a stage keeps the dilation before it, as in torchvision
and TF-slim, so that the dilated network computes the very features of the strided one, denser;
`even_dilation` gives it the stage's own, as segmentation_models_pytorch does. `padding="early"`
follows VainF/DeepLabV3Plus-Pytorch, whose weights want it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders.encoder import Padding
from atrous.layers import BatchNorm
from atrous.ops import Normalization

__all__ = ["InvertedResidual", "MobileNetV2", "SameConv2d"]

# Expansion t, output channels c, repeats n, stride s of the first repeat (Table 2).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STAGE_ENDS = (1, 3, 6, 13)  # last features.* before each halving


class MobileNetV2(nn.Module):
    """The encoder: features 1, 3, 6, 13 and the last of the paper's Table 2.

    Args:
        in_channels: Channels of the images.
        width: Multiplier of all widths.
        output_stride: 32, 16 or 8.
        padding: "symmetric" pads the five strided convolutions by one pixel on every side
            (torchvision); "same" pads as TensorFlow does, whose weights want it; "early" pads what
            comes to a unit, so that the border passes the expansion's norm, and the stem not at
            all: a stage may then be one cell shorter.
        even_dilation: Dilate the first unit of a dilated stage like the others.
        last_layer: Keep the 1x1 layer of 1280 channels (features 18).
        stages: How many are kept; 5 is all.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        output_stride: int = 32,
        padding: Padding = "symmetric",
        even_dilation: bool = False,
        last_layer: bool = False,
        stages: int = 5,
    ) -> None:
        super().__init__()
        channels = _rounded(32 * width)
        stem = _ConvNormAct(in_channels, channels, 3, stride=2, padding=padding)
        layers: list[nn.Module] = [stem]
        reached, dilation = 2, 1
        for expansion, stage_channels, repeats, stage_stride in _STAGES:
            stride, later_dilation = stage_stride, dilation
            if reached == output_stride:
                stride, later_dilation = 1, dilation * stage_stride
            reached *= stride
            first_dilation = later_dilation if even_dilation else dilation
            for repeat in range(repeats):
                layers.append(
                    InvertedResidual(
                        channels,
                        _rounded(stage_channels * width),
                        expansion=expansion,
                        stride=stride if repeat == 0 else 1,
                        dilation=first_dilation if repeat == 0 else later_dilation,
                        padding=padding,
                    )
                )
                channels = _rounded(stage_channels * width)
            dilation = later_dilation
        if last_layer:
            before, channels = channels, _rounded(1280 * max(1.0, width))
            layers.append(_ConvNormAct(before, channels, 1))
        ends = (*_STAGE_ENDS, len(layers) - 1)
        all_channels = (*(_rounded(c * width) for c in (16, 24, 32, 96)), channels)
        self.features = nn.Sequential(*layers[: ends[stages - 1] + 1])
        self.channels = all_channels[:stages]
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32)[:stages])
        self.output_stride = self.strides[-1]
        self.normalization = Normalization.for_channels(in_channels)
        _initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps, each ceil(H / stride) high."""
        x, stages = images, []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in (*_STAGE_ENDS, len(self.features) - 1):
                stages.append(x)
        return stages


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection; a shortcut where the shape is kept.

    Args:
        in_channels: Channels that come.
        out_channels: Channels that leave.
        expansion: Factor t of the hidden width; 1 leaves the expansion out.
        stride: Of the depthwise convolution.
        dilation: Of the depthwise convolution.
        padding: See `MobileNetV2`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        dilation: int,
        padding: Padding,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        self.border = dilation if padding == "early" else 0
        expand = [_ConvNormAct(in_channels, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            _ConvNormAct(
                hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden, padding=padding
            ),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            BatchNorm(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y: Tensor = self.conv(functional.pad(x, [self.border] * 4) if self.border else x)
        return x + y if self.shortcut else y


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 padded as TensorFlow's "SAME".

    An odd size gets one pixel on both sides; an even one gets it at the bottom or right only, so
    the output is shifted by one pixel against the symmetric form.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / 2), ceil(W / 2))."""
        odd = (x.shape[-2] % 2, x.shape[-1] % 2)
        even = (1 - odd[0], 1 - odd[1])
        if self.groups > 1 and not torch.is_grad_enabled():
            # A kernel that begins with zeros gives the same sums without a padded copy of x:
            # 3.3 against 14.1 ms for (2, 96, 128, 128) on one core; 3.8 with symmetric padding.
            weight = functional.pad(self.weight, (even[1], 0, even[0], 0))
            return functional.conv2d(x, weight, None, 2, 1, 1, self.groups)
        if odd != (1, 1):
            x = functional.pad(x, (0, even[1], 0, even[0]))
        return functional.conv2d(x, self.weight, None, 2, odd, 1, self.groups)


class _ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU6, numbered as torchvision numbers them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: Padding = "symmetric",
    ) -> None:
        convolution = SameConv2d if stride == 2 and padding == "same" else nn.Conv2d
        super().__init__(
            convolution(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=0 if padding == "early" else dilation * (kernel_size // 2),
                dilation=dilation,
                groups=groups,
                bias=False,
            ),
            BatchNorm(out_channels),
            nn.ReLU6(inplace=True),
        )


def _rounded(channels: float) -> int:
    """Return the multiple of 8 nearest to `channels`, never more than a tenth below it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _initialise(network: nn.Module) -> None:
    """Draw every convolution from a normal of std sqrt(2 / fan out), as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
