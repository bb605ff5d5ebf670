"""DeepLab v3+: atrous encoder-decoder (Chen et al., ECCV 2018, arXiv:1802.02611).

Departures from the paper:
- The skip is the encoder's stride-4 stage as it leaves the stage (after the ReLU of a ResNet,
  the linear bottleneck of MobileNetV2); the release taps a tensor inside that stage.
- `align_corners=False`: the release resizes with aligned corners and therefore asks for sizes
  16 k + 1; here any size is welcome. The option restores it.
- Batch norm momentum as in deeplab_v3.py.
The paper's convolutions are separable on Xception and plain on ResNet; it has no MobileNetV2
with decoder, which we give separable ones, as they fit its cost.
"""

import torch
from torch import Tensor, nn

from atrous.encoders import Encoder, Padding, create_encoder
from atrous.layers import ConvNormAct, SeparableConv
from atrous.models.deeplab_v3 import ASPP, aspp_rates
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import resize

__all__ = ["DeepLabV3Plus", "deeplab_v3_plus"]


class DeepLabV3Plus(SegmentationModel):
    """ASPP over the last stage, then a decoder that restores edges (Sec. 3.1, Fig. 2).

    Args:
        encoder: Yields five stages; the second has stride 4, the last `output_stride`.
        num_classes: Number of labels K, background included.
        aspp_channels: Width of the ASPP (Sec. 3.1).
        skip_channels: Width of the reduced stride-4 features (Table 1).
        decoder_channels: Width of the two refining convolutions (Table 2).
        separable: Depthwise separable convolutions in ASPP and decoder (Sec. 3.1).
        align_corners: Corner convention of every resizing.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        aspp_channels: int = 256,
        skip_channels: int = 48,
        decoder_channels: int = 256,
        separable: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        convolution = SeparableConv if separable else ConvNormAct
        rates = aspp_rates(encoder.output_stride)
        self.align_corners = align_corners
        self.feature_channels = decoder_channels
        self.encoder = encoder
        self.aspp = ASPP(encoder.channels[-1], aspp_channels, rates, separable=separable)
        self.reduce = ConvNormAct(encoder.channels[1], skip_channels, kernel_size=1)
        self.refine = nn.Sequential(
            convolution(aspp_channels + skip_channels, decoder_channels),
            convolution(decoder_channels, decoder_channels),
        )
        self.head = nn.Conv2d(decoder_channels, num_classes, kernel_size=1)
        nn.init.trunc_normal_(self.head.weight, std=0.01, a=-0.02, b=0.02)  # the release's

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H/4, W/4)."""
        _, c2, *_, c5 = self.encoder(images)
        skip = self.reduce(c2)
        x = resize(self.aspp(c5), skip.shape[-2:], align_corners=self.align_corners)
        x = self.refine(torch.cat([x, skip], dim=1))
        return Scores(self.head(x), features=x)


def deeplab_v3_plus(  # noqa: PLR0913 - every keyword is one option of the network
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    output_stride: int = 16,
    padding: Padding = "symmetric",
    aspp_channels: int = 256,
    skip_channels: int = 48,
    decoder_channels: int = 256,
    separable: bool | None = None,
    align_corners: bool = False,
) -> DeepLabV3Plus:
    """Build DeepLab v3+ on an encoder by name.

    Args:
        encoder_name: See `atrous.encoders.create_encoder`, as for `padding`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        output_stride: 16 (the paper's training), 8 (its best evaluation) or 32.
        padding: Of the encoder's strided convolutions.
        aspp_channels: See `DeepLabV3Plus`, as for all that follow.
        skip_channels: Width of the reduced skip.
        decoder_channels: Width of the decoder.
        separable: None: on MobileNetV2 and Xception, not on others.
        align_corners: Corner convention of every resizing.
    """
    if separable is None:
        separable = encoder_name.startswith(("mobilenet", "xception"))
    return DeepLabV3Plus(
        create_encoder(
            encoder_name, in_channels=in_channels, output_stride=output_stride, padding=padding
        ),
        num_classes,
        aspp_channels=aspp_channels,
        skip_channels=skip_channels,
        decoder_channels=decoder_channels,
        separable=separable,
        align_corners=align_corners,
    )
