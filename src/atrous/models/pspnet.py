"""PSPNet: pyramid scene parsing network (Zhao et al., CVPR 2017, arXiv:1612.01105).

Four averages of the last stage, over 1x1 to 6x6 parts of the image, tell every pixel the scene
that it is part of (Sec. 3.2, Fig. 3). While training, a second classifier on stage 4 is
supervised too (Sec. 4, Fig. 4).

The paper's ResNets begin with three 3x3 convolutions (timm's resnet50s, 101s and 152s), and every
3x3 convolution of their dilated stages is dilated, that of a stage's first unit included.

Departures from the paper:
- `align_corners=False`: the release resizes with aligned corners and therefore asks for sizes
  8 k + 1; here any size is welcome. The option restores it.
- Batch norm keeps torch's momentum of 0.1, as the authors' later PyTorch code does (the release's
  0.95 is 0.05 here); a batch of one trains, because the level of one part then falls back on
  running statistics.
- Dropout takes single values, as in the release; the PyTorch code drops whole channels.
- The concatenation goes from coarse to fine; the release's Caffe network has it reversed.
Two public networks that are not the paper's are options: `bins="none"`, its baseline (Table 1),
with `even_dilation=False` is torchvision's `fcn_resnet50`; `stages` and `head="smp"` follow
segmentation_models_pytorch, which pools the third stage and exchanges the kernels of the head, with
a dropout of 0.2.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from atrous.encoders import Encoder, create_encoder, resnet_depth
from atrous.errors import InputError
from atrous.layers import ConvNormAct
from atrous.models.segmentation_model import Scores, SegmentationModel, refuse_unused
from atrous.ops import resize

__all__ = ["PSPNet", "PyramidPooling", "pspnet"]

_BINS = {"none": (), "B1": (1,), "B1236": (1, 2, 3, 6)}  # as Table 1 names them
_KERNELS = {"release": (3, 1), "smp": (1, 3)}


class PSPNet(SegmentationModel):
    """Pyramid pooling over the last stage, and an auxiliary classifier on the one before it.

    Args:
        encoder: Its last two stages have one stride: 8 in the paper (Sec. 3.3).
        pyramid: What looks at the last stage.
        num_classes: Number of labels K, background included.
        channels: Width of the convolution after the pyramid (512); the auxiliary's is half of it.
        kernels: Sides of that convolution and of the one that scores.
        dropout: Before the scores of both classifiers (0.1 in the release).
        auxiliary: Whether there is an auxiliary classifier.
        align_corners: Corner convention of the final upsampling.
    """

    auxiliary_weight = 0.4  # Sec. 4, Table 2

    def __init__(
        self,
        encoder: Encoder,
        pyramid: "PyramidPooling",
        num_classes: int,
        *,
        channels: int = 512,
        kernels: tuple[int, int] = (3, 1),
        dropout: float = 0.1,
        auxiliary: bool = True,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout}; give a fraction from 0 to below 1")
        self.align_corners = align_corners
        self.encoder = encoder
        self.pyramid = pyramid
        self.head = _classifier(pyramid.channels, channels, num_classes, dropout, kernels)
        self.auxiliary = None
        if auxiliary:
            width = max(channels // 2, 1)
            self.auxiliary = _classifier(encoder.channels[-2], width, num_classes, dropout)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H/8, W/8).

        The auxiliary scores, of the same size, are there in training mode only: nothing else needs
        them, and they cost a 3x3 convolution over 1024 channels.
        """
        *_, c4, c5 = self.encoder(images)
        auxiliary: tuple[Tensor, ...] = ()
        if self.auxiliary is not None and self.training:
            auxiliary = (self.auxiliary(c4),)
        return Scores(self.head(self.pyramid(c5)), auxiliary)


class PyramidPooling(nn.Module):
    """A map beside what its parts hold on average, at several scales (Sec. 3.2, Fig. 3c).

    Args:
        in_channels: Channels that come.
        bins: Parts along each side, one number a level; none leaves the map as it is.
        pool: "average" or "max" of each part.
        reduce: 1x1 convolution of each level to in_channels / number of levels.
        align_corners: Corner convention of the resizing.

    Attributes:
        channels: Channels that leave: the map's and all levels'.
    """

    def __init__(
        self,
        in_channels: int,
        bins: Sequence[int],
        *,
        pool: Literal["average", "max"] = "average",
        reduce: bool = True,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        width = in_channels // max(len(bins), 1) if reduce else in_channels
        pooling = nn.AdaptiveAvgPool2d if pool == "average" else nn.AdaptiveMaxPool2d
        self.channels = in_channels + len(bins) * width
        self.align_corners = align_corners
        self.levels = nn.ModuleList(
            nn.Sequential(
                pooling(parts),
                ConvNormAct(in_channels, width, kernel_size=1) if reduce else nn.Identity(),
            )
            for parts in bins
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        height, width = x.shape[-2:]
        levels = [
            resize(level(x), (height, width), align_corners=self.align_corners)
            for level in self.levels
        ]
        return torch.cat([x, *levels], dim=1)


def pspnet(  # noqa: PLR0913 - every keyword is one option of the network
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    output_stride: int = 8,
    even_dilation: bool | None = None,
    stages: int = 5,
    bins: Literal["none", "B1", "B1236"] = "B1236",
    pool: Literal["average", "max"] = "average",
    reduce: bool = True,
    channels: int = 512,
    head: Literal["release", "smp"] = "release",
    dropout: float = 0.1,
    auxiliary: bool = True,
    align_corners: bool = False,
) -> PSPNet:
    """Build PSPNet on an encoder by name.

    Args:
        encoder_name: See `atrous.encoders.create_encoder`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        output_stride: 8 (the paper's), 16 or 32.
        even_dilation: Dilate the first unit of a dilated stage too; None: on the ResNets of
            He et al., in every form of ours, as the paper does.
        stages: Stages of the encoder; the pyramid lies over the last (see `create_encoder`).
        bins: Parts of the pyramid, as Table 1 names them; "none" is its baseline.
        pool: See `PyramidPooling`, as for `reduce`.
        reduce: Shrink each level.
        channels: Width of the convolution after the pyramid.
        head: "release": that convolution is a 3x3 and a 1x1 scores; "smp": the other way round.
        dropout: See `PSPNet`.
        auxiliary: See `PSPNet`.
        align_corners: Corner convention of every resizing.
    """
    if bins == "none":
        refuse_unused(pspnet, "without a pyramid", pool=pool, reduce=reduce)
    if even_dilation is None:
        even_dilation = resnet_depth(encoder_name) is not None
    encoder = create_encoder(
        encoder_name,
        in_channels=in_channels,
        output_stride=output_stride,
        even_dilation=even_dilation,
        stages=stages,
    )
    pyramid = PyramidPooling(
        encoder.channels[-1], _BINS[bins], pool=pool, reduce=reduce, align_corners=align_corners
    )
    return PSPNet(
        encoder,
        pyramid,
        num_classes,
        channels=channels,
        kernels=_KERNELS[head],
        dropout=dropout,
        auxiliary=auxiliary,
        align_corners=align_corners,
    )


def _classifier(
    in_channels: int,
    channels: int,
    num_classes: int,
    dropout: float,
    kernels: tuple[int, int] = (3, 1),
) -> nn.Sequential:
    """Return a convolution, dropout and the scores of the classes."""
    first, last = kernels
    return nn.Sequential(
        OrderedDict(
            conv=ConvNormAct(in_channels, channels, first),
            dropout=nn.Dropout(dropout),
            score=nn.Conv2d(channels, num_classes, last, padding=last // 2),
        )
    )
