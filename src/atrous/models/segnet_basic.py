"""SegNet-Basic and the decoders that the paper measures against it (TPAMI 2017, Sec. 3.1, Table 1).

Four encoders of 7x7 convolutions with 64 filters, batch norm, ReLU and pooling, and a decoder out
of `DECODERS`, whose rows are those of Table 1. Images are as in the release: 0 to 255, then local
response normalisation. Convolutions have no biases, as the paper says; the release's have
(`bias=True`). Scores are at input size.

Where the paper is silent:
- "Encoder feature map" is the pooled one, as its Fig. 3 says, so the last decoder adds none; the
  row "encoder_addition_before_pooling" adds the maps before pooling, to all four decoders.
- Learned upsampling is followed by neither norm nor ReLU. Its 8x8 kernels begin as bilinear
  interpolation by 2, each channel by itself, and hold zeros elsewhere; Caffe's own filling would
  fit a factor of 4 and begin four times too large.

Departures from the paper: those of segnet.py in batch norm; red comes first, which means nothing to
filters that are learned from scratch and a normalisation that spans all channels.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from atrous.errors import InputError
from atrous.layers import ConvNormAct
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.models.segnet import DropoutUnits, dropout_units, initialise
from atrous.ops import Normalization, max_pool_2bit, max_unpool_2bit, resize

__all__ = ["DECODERS", "Decoder", "DecoderVariant", "SegNetBasic", "segnet_basic"]

DecoderVariant = Literal[
    "max_unpool",
    "encoder_addition",
    "encoder_addition_before_pooling",
    "single_channel",
    "bilinear",
    "fcn",
    "fcn_no_addition",
    "fcn_no_dim_reduction",
    "fcn_no_addition_no_dim_reduction",
]


@dataclass(frozen=True)
class Decoder:
    """A row of Table 1: how a stage doubles the resolution, and what it makes of encoder maps.

    Attributes:
        upsampling: "indices" (then a 7x7 convolution and batch norm, no ReLU), "bilinear" (fixed)
            or "learned" (transposed 8x8 convolutions).
        reduced: Encoder maps become K channels before the decoder, not behind it.
        added: Which encoder maps of the same resolution are added.
        depthwise: Each 7x7 filter sees its own map only.
    """

    upsampling: Literal["indices", "bilinear", "learned"]
    reduced: bool = False
    added: Literal["none", "pooled", "before pooling"] = "none"
    depthwise: bool = False


DECODERS: dict[DecoderVariant, Decoder] = {
    "max_unpool": Decoder("indices"),  # SegNet-Basic itself
    "encoder_addition": Decoder("indices", added="pooled"),
    "encoder_addition_before_pooling": Decoder("indices", added="before pooling"),
    "single_channel": Decoder("indices", depthwise=True),
    "bilinear": Decoder("bilinear", reduced=True),
    "fcn": Decoder("learned", reduced=True, added="pooled"),
    "fcn_no_addition": Decoder("learned", reduced=True),
    "fcn_no_dim_reduction": Decoder("learned", added="pooled"),
    "fcn_no_addition_no_dim_reduction": Decoder("learned"),
}


_SKIPS = {"none": 0, "pooled": 3, "before pooling": 4}
"""The deepest map is what the decoder begins with: pooled, it is added nowhere."""


class SegNetBasic(SegmentationModel):
    """Four encoders and four decoders of one width (Sec. 3.1).

    Args:
        in_channels: Channels of the images.
        num_classes: Number of labels K, background included.
        decoder: A row of `DECODERS`.
        channels: Filters of every convolution.
        bias: Convolutions have biases, as in the release.
        dropout: See `dropout_units`; the release's Bayesian SegNet-Basic is "central".
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        decoder: Decoder = DECODERS["max_unpool"],
        channels: int = 64,
        bias: bool = False,
        dropout: DropoutUnits = "none",
    ) -> None:
        super().__init__()
        width = num_classes if decoder.reduced else channels

        def score_layer(wanted: bool) -> nn.Module:
            return nn.Conv2d(channels, num_classes, 1, bias=bias) if wanted else nn.Identity()

        self.output_stride = 16  # four poolings
        self.normalization = Normalization((0.0,) * in_channels, (1 / 255,) * in_channels)
        self.added = decoder.added
        self.normalise_response = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)  # the release's
        self.encoders = nn.ModuleList(
            ConvNormAct(before, channels, 7, bias=bias)
            for before in (in_channels, channels, channels, channels)
        )
        self.pooled_dropout, self.decoded_dropout = dropout_units(dropout, len(self.encoders))
        self.reduce = score_layer(decoder.reduced)
        self.decoders = nn.ModuleList(_stage(decoder, width, bias) for _ in self.encoders)
        self.skips = nn.ModuleList(
            score_layer(decoder.reduced) for _ in range(_SKIPS[decoder.added])
        )
        self.classifier = score_layer(not decoder.reduced)
        initialise(self, shift=0.001)  # the release's

    def score(self, images: Tensor) -> Scores:
        """Map images (N, C, H, W) of 0 to 255 and any size to logits (N, K, H, W)."""
        x = self.normalise_response(images)
        poolings: list[tuple[Tensor, tuple[int, int]]] = []
        maps: list[Tensor] = []
        for encode, dropout in zip(self.encoders, self.pooled_dropout, strict=True):
            x = encode(x)
            if self.added == "before pooling":
                maps.append(x)
            height, width = x.shape[-2:]
            x, codes = max_pool_2bit(x)
            x = dropout(x)
            if self.added == "pooled":
                maps.append(x)
            poolings.append((codes, (height, width)))
        added = [skip(x) for skip, x in zip(self.skips, maps, strict=False)]  # outermost first
        x = self.reduce(x)
        for decode, dropout in zip(self.decoders, self.decoded_dropout, strict=True):
            x = decode(x, *poolings.pop())
            if added:
                x = x + added.pop()
            x = dropout(x)
        return Scores(self.classifier(x))


def segnet_basic(
    encoder_name: str | None,
    in_channels: int,
    num_classes: int,
    *,
    decoder: DecoderVariant = "max_unpool",
    channels: int = 64,
    bias: bool = False,
    dropout: DropoutUnits = "none",
) -> SegNetBasic:
    """Build SegNet-Basic or a variant of Table 1; the options are those of `SegNetBasic`.

    Raises:
        InputError: An encoder was named.
    """
    if encoder_name is not None:
        raise InputError(
            f"segnet_basic has encoders of its own, not {encoder_name}; leave encoder_name out, or "
            "take segnet, which has vgg16"
        )
    return SegNetBasic(
        in_channels,
        num_classes,
        decoder=DECODERS[decoder],
        channels=channels,
        bias=bias,
        dropout=dropout,
    )


def _stage(decoder: Decoder, channels: int, bias: bool) -> nn.Module:
    """Return what maps (features, codes, size) to features of that size."""
    if decoder.upsampling == "indices":
        return _Unpooling(channels, groups=channels if decoder.depthwise else 1, bias=bias)
    return _Bilinear() if decoder.upsampling == "bilinear" else _Learned(channels)


class _Unpooling(nn.Module):
    """Features where their maxima were, then a 7x7 convolution and batch norm without ReLU."""

    def __init__(self, channels: int, *, groups: int, bias: bool) -> None:
        super().__init__()
        self.refine = ConvNormAct(channels, channels, 7, groups=groups, activation=False, bias=bias)

    def forward(self, x: Tensor, codes: Tensor, size: tuple[int, int]) -> Tensor:
        y: Tensor = self.refine(max_unpool_2bit(x, codes, size))
        return y


class _Bilinear(nn.Module):
    """Fixed interpolation."""

    def forward(self, x: Tensor, codes: Tensor, size: tuple[int, int]) -> Tensor:
        return resize(x, size)


class _Learned(nn.Module):
    """A dense 8x8 transposed convolution of stride 2 that begins as bilinear interpolation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, 8, 2, padding=3, bias=False)
        line = torch.tensor([0, 0, 0.25, 0.75, 0.75, 0.25, 0, 0])
        with torch.no_grad():
            self.upsample.weight.copy_(torch.eye(channels)[..., None, None] * line.outer(line))

    def forward(self, x: Tensor, codes: Tensor, size: tuple[int, int]) -> Tensor:
        y: Tensor = self.upsample(x)
        return y[..., : size[0], : size[1]]
