"""MobileNetV3-Large: searched inverted residuals (Howard et al., ICCV 2019, Table 1).

The units are torchvision's, and so are the layer names (`features.0.0.weight`): its public weights
load unchanged. The classifier behind the 960-channel layer is left out.

Departures from the paper: with an output stride below 32 the later stages trade their stride for
dilation; the first unit of such a stage keeps the dilation before it, as in `mobilenet_v2.py`, or
takes the stage's own (`even_dilation`), as torchvision's segmentation networks do.
"""

from functools import partial
from typing import cast

from torch import Tensor, nn

from atrous.layers import BatchNorm
from atrous.ops import Normalization

__all__ = ["MobileNetV3"]

# Kernel, expanded channels, output channels, squeeze-and-excite, non-linearity, stride (Table 1).
_UNITS = (
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
)
_STAGE_ENDS = (1, 3, 6, 12)  # last features.* before each halving


class MobileNetV3(nn.Module):
    """The encoder: features 1, 3, 6, 12 and 16, which is the 1x1 layer of 960 channels.

    Args:
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
        even_dilation: Dilate the first unit of a dilated stage like the others.
    """

    def __init__(
        self, in_channels: int = 3, *, output_stride: int = 32, even_dilation: bool = False
    ) -> None:
        super().__init__()
        from torchvision.ops import Conv2dNormActivation  # 2.8 s that nobody else should pay

        layer = partial(
            Conv2dNormActivation,
            norm_layer=partial(BatchNorm, eps=1e-3, momentum=0.01),  # Sec. 6.1.1
            activation_layer=nn.Hardswish,
        )
        units, channels = _units(output_stride, even_dilation)
        self.features = nn.Sequential(
            layer(in_channels, 16, kernel_size=3, stride=2),
            *units,
            layer(channels, 6 * channels, kernel_size=1),
        )
        self.channels: tuple[int, ...] = (16, 24, 40, 112, 6 * channels)
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
        self.output_stride = output_stride
        self.normalization = Normalization.for_channels(in_channels)
        _initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps, each ceil(H / stride) high."""
        x, stages = images, []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _STAGE_ENDS:
                stages.append(x)
        return [*stages, x]


def _units(output_stride: int, even_dilation: bool) -> tuple[list[nn.Module], int]:
    """Return the units of Table 1, dilated where they would pass the output stride."""
    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig

    norm = partial(BatchNorm, eps=1e-3, momentum=0.01)
    units: list[nn.Module] = []
    channels, reached, dilation = 16, 2, 1
    for kernel, expanded, out_channels, squeeze, activation, unit_stride in _UNITS:
        stride, own = unit_stride, dilation
        if reached * stride > output_stride:
            stride, dilation = 1, dilation * unit_stride
            own = dilation if even_dilation else own
        reached *= stride
        settings = InvertedResidualConfig(
            *(channels, kernel, expanded, out_channels, squeeze, activation, stride, own),
            width_mult=1.0,
        )
        units.append(cast("nn.Module", InvertedResidual(settings, norm)))
        channels = out_channels
    return units, channels


def _initialise(network: nn.Module) -> None:
    """Draw every convolution from a normal of std sqrt(2 / fan out), as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
