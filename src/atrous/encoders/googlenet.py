"""GoogLeNet: nine inception modules (Szegedy et al., CVPR 2015), in two forms.

`GoogLeNet` is the one that torchvision ships: batch norm after every convolution, 3x3 where the
paper has 5x5, and a 2x2 fourth pooling. Its layer names are torchvision's, so its public weights
load; they want images normalised by mean and spread 0.5. `BVLCGoogLeNet` is the paper's network as
in Caffe's model zoo, on which FCN-GoogLeNet was built: biases and two local response norms instead
of batch norm, which expect images in 0..255, less the mean. Nobody has published weights for it in
a form that loads here.

Departures from the papers: classifiers, average pooling and auxiliary heads are left out, as in FCN
(Sec. 4.1). Poolings look over the right and lower border, so that a stage has ceil(size / stride)
cells; where that divides, the maps are those of Caffe and torchvision. With an output stride below
32 the last poolings keep the resolution and what follows is dilated.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from atrous.layers import BatchNorm, MaxPool
from atrous.ops import Normalization

__all__ = ["BVLCGoogLeNet", "GoogLeNet", "Inception"]

# Widths: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; pooled and projected (Table 1).
_MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Sequential):
    """The encoder: the last map before each halving, and the very last.

    `origins` says where on the image the first cell of each stage is centred, in pixels from the
    first one's centre.

    Args:
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
    """

    as_published: bool = False

    def __init__(self, in_channels: int = 3, *, output_stride: int = 32) -> None:
        super().__init__(OrderedDict(self._layers(in_channels, output_stride)))
        self.channels: tuple[int, ...] = (64, 192, 480, 832, 1024)
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
        self.output_stride = output_stride
        self.origins: tuple[float, ...] = (0.0, 2.0, 6.0, 14.0, 30.0 if self.as_published else 22.0)
        self.normalization = Normalization.for_channels(in_channels)
        if self.as_published:
            self.normalization = Normalization.caffe(in_channels)
        elif in_channels == 3:
            self.normalization = Normalization((0.5,) * 3, (0.5,) * 3)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module.bias is None:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    continue
                bound = (3 / module.weight[0].numel()) ** 0.5  # Caffe's "xavier", as its zoo begins
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.constant_(module.bias, 0.2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps, each ceil(H / stride) high."""
        x, stages = images, []
        for layer in self:
            if isinstance(layer, MaxPool):
                stages.append(x)
            x = layer(x)
        return [*stages, x]

    def _layers(self, in_channels: int, output_stride: int) -> Iterator[tuple[str, nn.Module]]:
        """Yield names and layers in the order of Table 1."""
        with_norm = not self.as_published
        yield "conv1", _unit(in_channels, 64, 7, stride=2, with_norm=with_norm)
        yield "pool1", MaxPool(3, stride=2)
        if self.as_published:
            yield "norm1", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        yield "conv2", _unit(64, 64, 1, with_norm=with_norm)
        yield "conv3", _unit(64, 192, 3, with_norm=with_norm)
        if self.as_published:
            yield "norm2", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        yield "pool2", MaxPool(3, stride=2)
        channels, reached, dilation = 192, 8, 1
        for name, widths in _MODULES.items():
            if name in ("4a", "5a"):
                kernel = 3 if self.as_published or name == "4a" else 2
                dense = reached == output_stride
                stride = 1 if dense else 2
                yield f"pool{int(name[0]) - 1}", MaxPool(kernel, stride=stride, dilation=dilation)
                reached, dilation = (reached, 2 * dilation) if dense else (2 * reached, dilation)
            module = Inception(channels, widths, dilation=dilation, as_published=self.as_published)
            yield f"inception{name}", module
            channels = module.channels


class BVLCGoogLeNet(GoogLeNet):
    """The paper's kernels, biases and local response norms."""

    as_published = True


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3, 5x5, pooling (Fig. 2b).

    Args:
        in_channels: Channels that come.
        widths: A row of Table 1.
        dilation: Distance between the taps of every kernel.
        as_published: A 5x5 kernel without batch norm, not torchvision's 3x3 with it.
    """

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], *, dilation: int, as_published: bool
    ) -> None:
        super().__init__()
        plain, reduced3, width3, reduced5, width5, projected = widths

        def unit(before: int, width: int, kernel: int = 1) -> nn.Sequential:
            return _unit(before, width, kernel, dilation=dilation, with_norm=not as_published)

        self.branch1 = unit(in_channels, plain)
        self.branch2 = nn.Sequential(unit(in_channels, reduced3), unit(reduced3, width3, 3))
        self.branch3 = nn.Sequential(
            unit(in_channels, reduced5), unit(reduced5, width5, 5 if as_published else 3)
        )
        self.branch4 = nn.Sequential(
            MaxPool(3, stride=1, dilation=dilation, centred=True),
            unit(in_channels, projected),
        )
        self.channels = plain + width3 + width5 + projected

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H, W)."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], dim=1)


def _unit(
    in_channels: int,
    channels: int,
    kernel_size: int,
    *,
    with_norm: bool,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """Return a convolution, batch norm (or a bias instead of it) and ReLU, sizes kept."""
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(
        in_channels, channels, kernel_size, stride, padding, dilation, bias=not with_norm
    )
    parts = OrderedDict[str, nn.Module](conv=conv)
    if with_norm:
        parts["bn"] = BatchNorm(channels, eps=1e-3)  # torchvision's, from TensorFlow
    parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)
