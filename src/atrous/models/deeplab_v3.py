"""DeepLab v3: atrous spatial pyramid pooling (Chen et al., 2017, arXiv:1706.05587).

Only the head so far, which DeepLab v3+ takes as its encoder's end.

Departures from the paper: batch norm keeps torch's momentum of 0.1 (the paper's decay of 0.9997
is 0.0003), so that a network trained from scratch for a thousand steps has its statistics; a
batch of one trains, because the image-level branch then falls back on running statistics. The
order of the concatenation is the release's: image level, 1x1, then the rates as they come.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrous.layers import ConvNormAct, SeparableConv

__all__ = ["ASPP", "aspp_rates"]


class ASPP(nn.Module):
    """Parallel views of one feature map at several rates, and its mean (Sec. 3.3, Fig. 5).

    Args:
        in_channels: Channels that come.
        channels: Width of every branch and of the result (256).
        rates: Dilation of each 3x3 branch.
        separable: Depthwise separable 3x3 branches, as DeepLab v3+ introduced them.
    """

    def __init__(
        self, in_channels: int, channels: int, rates: Sequence[int], *, separable: bool = False
    ) -> None:
        super().__init__()
        convolution = SeparableConv if separable else ConvNormAct
        self.image_level = ConvNormAct(in_channels, channels, kernel_size=1)
        self.point = ConvNormAct(in_channels, channels, kernel_size=1)
        self.atrous = nn.ModuleList(
            convolution(in_channels, channels, dilation=rate) for rate in rates
        )
        self.project = ConvNormAct((2 + len(rates)) * channels, channels, kernel_size=1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        image_level = self.image_level(x.mean((2, 3), keepdim=True))
        branches = [
            image_level.expand(-1, -1, *x.shape[-2:]),  # bilinear from 1x1 is a constant
            self.point(x),
            *(atrous(x) for atrous in self.atrous),
        ]
        y: Tensor = self.dropout(self.project(torch.cat(branches, dim=1)))
        return y


def aspp_rates(output_stride: int) -> tuple[int, ...]:
    """Return the rates of Sec. 4: 6, 12, 18 at output stride 16, scaled with the resolution.

    Example:
        >>> aspp_rates(8)
        (12, 24, 36)
    """
    return tuple(rate * 16 // output_stride for rate in (6, 12, 18))
