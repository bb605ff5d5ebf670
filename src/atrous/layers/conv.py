"""Convolution, batch norm and ReLU: the unit that most heads and decoders are built of."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BatchNorm", "ConvNormAct", "SeparableConv"]


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU; the size is kept where the stride is 1.

    Args:
        in_channels: Channels that come.
        out_channels: Channels that leave.
        kernel_size: Odd side of the kernel.
        stride: Step of the kernel.
        dilation: Distance between its taps (the rate of an atrous convolution).
        groups: `in_channels` for a depthwise convolution.
        activation: False leaves the ReLU out.
        bias: The convolution has a bias too, which the norm takes out again; some releases do.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: bool = True,
        bias: bool = False,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        parts = OrderedDict[str, nn.Module](conv=conv, norm=BatchNorm(out_channels))
        if activation:
            parts["act"] = nn.ReLU(inplace=True)  # batch norm keeps its input, not its output
        super().__init__(parts)


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, batch norm, ReLU, pointwise 1x1, batch norm, ReLU.

    As in the ASPP and the decoder of the DeepLab v3+ release, with its initialisation: truncated
    normal of std 0.33 for the depthwise and 0.06 for the pointwise weights.

    Args:
        in_channels: Channels that come.
        out_channels: Channels that leave.
        dilation: Distance between the taps of the depthwise kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1) -> None:
        depthwise = ConvNormAct(in_channels, in_channels, dilation=dilation, groups=in_channels)
        pointwise = ConvNormAct(in_channels, out_channels, kernel_size=1)
        for unit, std in ((depthwise, 0.33), (pointwise, 0.06)):
            weight = unit.get_parameter("conv.weight")
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        super().__init__(OrderedDict(depthwise=depthwise, pointwise=pointwise))


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that also trains where a channel has one single value.

    The image-level branch of a batch of one pools to (1, C, 1, 1): there is no variance to divide
    by, and torch raises. Here such a batch is normalised with the running statistics, which it
    leaves as they are. Everything else is torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if self.training and x.numel() == x.shape[1]:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)
