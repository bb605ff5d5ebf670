"""DeepLab v3: rethinking atrous convolution (Chen et al., 2017, arXiv:1706.05587).

Both forms of the paper: block4 with a multi-grid under atrous spatial pyramid pooling with an
image-level branch (`DeepLabV3`, Sec. 3.3, the final model), and copies of block4 in cascade
(`DeepLabV3Cascade`, Sec. 3.2). Nothing but strides and dilations depends on the output stride, so
a network trained at 16 is evaluated at 8 with the same weights.

Departures from the paper:
- `align_corners=False`: the release resizes with aligned corners and therefore asks for sizes
  16 k + 1; here any size is welcome. The option restores it.
- Batch norm keeps torch's momentum of 0.1 (the paper's decay of 0.9997 is 0.0003), so that a
  network trained from scratch for a thousand steps has its statistics; a batch of one trains,
  because the image-level branch then falls back on running statistics.
- The strides of a ResNet lie where torchvision's weights have them (see `encoders/resnet.py`); the
  7x7 stem is the paper's, `resnet101s` has the release's.
- The cascade keeps its output stride from block4 on: Table 1 goes up to 256 to show what is lost.
- The order of the ASPP's concatenation is the release's: image level, 1x1, then the rates.
Where public weights depart from the paper (torchvision, segmentation_models_pytorch, VainF), the
options `refine`, `rates`, `even_dilation`, `multi_grid`, `padding` and `auxiliary` follow them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from atrous.encoders import Encoder, Padding, create_encoder, resnet_depth
from atrous.encoders.resnet import ResNet
from atrous.errors import InputError
from atrous.layers import ConvNormAct, SeparableConv
from atrous.models.segmentation_model import Scores, SegmentationModel, refuse_unused

__all__ = [
    "ASPP",
    "DeepLabV3",
    "DeepLabV3Cascade",
    "aspp_rates",
    "build_aspp",
    "classifier",
    "deeplab_v3",
    "dilated_encoder",
]


class DeepLabV3(SegmentationModel):
    """Atrous spatial pyramid pooling over a dilated encoder (Sec. 3.3, Fig. 5).

    Args:
        encoder: Yields five stages, the last at the output stride.
        aspp: What looks at the last stage.
        num_classes: Number of labels K, background included.
        auxiliary: A second classifier on the stage before the last, supervised while training
            (torchvision's; the paper has none).
        align_corners: Corner convention of the final upsampling.
    """

    auxiliary_weight = 0.5  # torchvision's training reference

    def __init__(
        self,
        encoder: Encoder,
        aspp: "ASPP",
        num_classes: int,
        *,
        auxiliary: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.feature_channels = aspp.channels
        self.encoder = encoder
        self.aspp = aspp
        self.head = classifier(aspp.channels, num_classes)
        self.auxiliary = _second_classifier(encoder.channels[3], num_classes) if auxiliary else None

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits at the output stride.

        The auxiliary scores are there in training mode only: nothing else needs them.
        """
        *_, c4, c5 = self.encoder(images)
        auxiliary: tuple[Tensor, ...] = ()
        if self.auxiliary is not None and self.training:
            auxiliary = (self.auxiliary(c4),)
        x = self.aspp(c5)
        return Scores(self.head(x), auxiliary, features=x)


class DeepLabV3Cascade(SegmentationModel):
    """Copies of block4, each at twice the rate of the one before it (Sec. 3.2, Fig. 3).

    Args:
        encoder: A ResNet, whose multi-grid the copies share.
        num_classes: Number of labels K, background included.
        blocks: Number of the last block: 4 (no copy) to 7.
        align_corners: Corner convention of the final upsampling.
    """

    def __init__(
        self, encoder: ResNet, num_classes: int, *, blocks: int = 7, align_corners: bool = False
    ) -> None:
        super().__init__()
        if not 4 <= blocks <= 7:
            raise InputError(f"blocks is {blocks}; the last block of the cascade is 4, 5, 6 or 7")
        rate = 32 // encoder.output_stride  # block4's own
        self.align_corners = align_corners
        self.feature_channels = encoder.channels[-1]
        self.encoder = encoder
        self.cascade = nn.Sequential(
            OrderedDict(
                (f"block{number}", encoder.replica(rate * 2 ** (number - 4)))
                for number in range(5, blocks + 1)
            )
        )
        self.head = classifier(encoder.channels[-1], num_classes)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits at the output stride."""
        *_, c5 = self.encoder(images)
        x = self.cascade(c5)
        return Scores(self.head(x), features=x)


class ASPP(nn.Module):
    """Parallel views of one feature map at several rates, and its mean (Sec. 3.3, Fig. 5).

    Args:
        in_channels: Channels that come.
        channels: Width of every branch and of the result (256).
        rates: Dilation of each 3x3 branch; none in the release's MobileNetV2 form.
        convolution: Kind of the 3x3 branches: (in_channels, out_channels, *, dilation) -> layer.
        dropout: Of the result (0.1 in the release).
        refine: One more 3x3 convolution at the end, as torchvision and others have it.
        image_level: The branch of the mean; DeepLab v3+ does without on Cityscapes.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        rates: Sequence[int],
        *,
        convolution: Callable[..., nn.Module] = ConvNormAct,
        dropout: float = 0.1,
        refine: bool = False,
        image_level: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout}; give a fraction from 0 to below 1")
        self.channels = channels
        self.convolution = convolution
        self.image_level = (
            ConvNormAct(in_channels, channels, kernel_size=1) if image_level else None
        )
        self.point = ConvNormAct(in_channels, channels, kernel_size=1)
        self.atrous = nn.ModuleList(
            convolution(in_channels, channels, dilation=rate) for rate in rates
        )
        branches = int(image_level) + 1 + len(rates)
        self.project = ConvNormAct(branches * channels, channels, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.refine = convolution(channels, channels) if refine else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        branches = [self.point(x), *(atrous(x) for atrous in self.atrous)]
        if self.image_level is not None:
            mean = self.image_level(x.mean((2, 3), keepdim=True))
            branches.insert(0, mean.expand(-1, -1, *x.shape[-2:]))  # bilinear from 1x1: constant
        y: Tensor = self.refine(self.dropout(self.project(torch.cat(branches, dim=1))))
        return y


def deeplab_v3(  # noqa: PLR0913 - every keyword is one option of the network
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    form: Literal["aspp", "cascade"] = "aspp",
    output_stride: int = 16,
    multi_grid: str | None = None,
    even_dilation: bool | None = None,
    padding: Padding = "symmetric",
    blocks: int = 7,
    aspp_channels: int = 256,
    rates: str | None = None,
    separable: bool = False,
    dropout: float = 0.1,
    refine: bool = False,
    image_level: bool = True,
    auxiliary: bool = False,
    align_corners: bool = False,
) -> SegmentationModel:
    """Build DeepLab v3 on an encoder by name.

    Args:
        encoder_name: See `atrous.encoders.create_encoder`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        form: "aspp" (the final model) or "cascade" (Sec. 3.2; ResNets only).
        output_stride: 16 (the paper's training), 8 (its best evaluation) or 32.
        multi_grid: Factors on the rates of block4 and its copies, such as "1,2,4", or "none".
            Left out: on ResNet-50 and deeper the paper's best, which is "1,2,4" under the ASPP
            and "1,2,1" in the cascade (Tables 5 and 3); none on other encoders.
        even_dilation: Every unit of a dilated stage has the stage's rate. Left out: on ResNets as
            in the paper, not on MobileNets, where the release keeps the first unit's.
        padding: Of the encoder's 3x3 convolutions; "same" and "early" are for weights that want it.
        blocks: Last block of the cascade, 4 to 7.
        aspp_channels: Width of the ASPP; it and all that follow are of the form with an ASPP only,
            but for `align_corners`.
        rates: Such as "12,24,36"; left out: by the output stride (`aspp_rates`); "none" leaves
            the image level and the 1x1 alone, as the release's MobileNetV2 does.
        separable: Depthwise separable branches, as DeepLab v3+ introduced them.
        dropout: Before the classifier.
        refine: One more 3x3 before the classifier (torchvision, segmentation_models_pytorch).
        image_level: The branch of the mean (Table 5 has rows without).
        auxiliary: See `DeepLabV3`.
        align_corners: Corner convention of the final upsampling.

    Raises:
        InputError: An unknown encoder, one that cannot do this, or an option of the other form.
    """
    encoder = dilated_encoder(
        encoder_name,
        in_channels,
        output_stride,
        padding=padding,
        multi_grid=multi_grid,
        even_dilation=even_dilation,
        best_grid="1,2,4" if form == "aspp" else "1,2,1",  # Tables 5 and 3
    )
    if form == "cascade":
        refuse_unused(
            deeplab_v3,
            "in cascade",
            aspp_channels=aspp_channels,
            rates=rates,
            separable=separable,
            dropout=dropout,
            refine=refine,
            image_level=image_level,
            auxiliary=auxiliary,
        )
        if not isinstance(encoder, ResNet):
            raise InputError(f"{encoder_name} has no block4 to copy; take a ResNet or form='aspp'")
        return DeepLabV3Cascade(encoder, num_classes, blocks=blocks, align_corners=align_corners)
    refuse_unused(deeplab_v3, "with an ASPP", blocks=blocks)
    aspp = build_aspp(
        encoder,
        aspp_channels,
        rates=rates,
        separable=separable,
        dropout=dropout,
        refine=refine,
        image_level=image_level,
    )
    return DeepLabV3(encoder, aspp, num_classes, auxiliary=auxiliary, align_corners=align_corners)


def dilated_encoder(
    name: str,
    in_channels: int,
    output_stride: int,
    *,
    padding: Padding = "symmetric",
    multi_grid: str | None = None,
    even_dilation: bool | None = None,
    best_grid: str = "1,2,4",
) -> Encoder:
    """Build an encoder that is dilated as the paper dilates it, unless told otherwise.

    Args:
        name: See `deeplab_v3`, as for all that is not here.
        in_channels: Channels of the images.
        output_stride: 32, 16 or 8.
        padding: See `create_encoder`.
        multi_grid: Factors such as "1,2,4", "none", or None for `best_grid` on deep ResNets.
        even_dilation: None is yes on ResNets.
        best_grid: The paper's choice for this form.
    """
    depth = resnet_depth(name)
    grid = multi_grid or (best_grid if depth is not None and depth >= 50 else "none")
    return create_encoder(
        name,
        in_channels=in_channels,
        output_stride=output_stride,
        padding=padding,
        even_dilation=depth is not None if even_dilation is None else even_dilation,
        multi_grid=None if grid == "none" else _numbers("multi_grid", grid),
    )


def build_aspp(
    encoder: Encoder,
    channels: int = 256,
    *,
    rates: str | None = None,
    separable: bool = False,
    norm_between: bool = True,
    dropout: float = 0.1,
    refine: bool = False,
    image_level: bool = True,
) -> ASPP:
    """Build the ASPP for an encoder.

    Args:
        encoder: Its output stride decides the rates where none are given.
        channels: Width.
        rates: Such as "12,24,36", "none", or None for `aspp_rates`.
        separable: Depthwise separable convolutions.
        norm_between: See `SeparableConv`.
        dropout: See `ASPP`.
        refine: See `ASPP`.
        image_level: See `ASPP`.
    """
    numbers = () if rates == "none" else _numbers("rates", rates) if rates else None
    return ASPP(
        encoder.channels[-1],
        channels,
        aspp_rates(encoder.output_stride) if numbers is None else numbers,
        convolution=partial(SeparableConv, norm_between=norm_between) if separable else ConvNormAct,
        dropout=dropout,
        refine=refine,
        image_level=image_level,
    )


def aspp_rates(output_stride: int) -> tuple[int, ...]:
    """Return the rates of Sec. 4: 6, 12, 18 at output stride 16, scaled with the resolution.

    Example:
        >>> aspp_rates(8)
        (12, 24, 36)
    """
    return tuple(rate * 16 // output_stride for rate in (6, 12, 18))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    """Read whole numbers above 0 from an option such as "1,2,4"."""
    parts = text.replace(" ", "").split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(
            f"{option} is {text!r}; give whole numbers above 0 with commas, such as 1,2,4, or none"
        )
    return tuple(int(part) for part in parts)


def classifier(channels: int, num_classes: int) -> nn.Conv2d:
    """Return the 1x1 that scores the classes, drawn as in the release."""
    layer = nn.Conv2d(channels, num_classes, kernel_size=1)
    nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _second_classifier(channels: int, num_classes: int) -> nn.Sequential:
    """Return torchvision's: a 3x3 to a quarter of the channels, dropout, scores."""
    return nn.Sequential(
        OrderedDict(
            conv=ConvNormAct(channels, channels // 4),
            dropout=nn.Dropout(0.1),
            score=nn.Conv2d(channels // 4, num_classes, 1),
        )
    )
