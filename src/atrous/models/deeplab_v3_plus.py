"""DeepLab v3+: atrous encoder-decoder (Chen et al., ECCV 2018, arXiv:1802.02611).

Departures from the paper:
- The skip is the encoder's stride-4 stage as it leaves the stage (after the ReLU of a ResNet,
  the linear bottleneck of MobileNetV2, inside the second block of Xception after the ReLU); the
  release taps a tensor inside that stage before its ReLU.
- `align_corners=False`: the release resizes with aligned corners and therefore asks for sizes
  16 k + 1; here any size is welcome. The option restores it.
- Batch norm momentum as in deeplab_v3.py.
The encoder is DeepLab v3's: a multi-grid on ResNets, none on Xception (Sec. 4.3). The paper's
convolutions are separable on Xception and plain on ResNet; it has no MobileNetV2 with decoder,
which we give separable ones, as they fit its cost.
Where public weights depart from the paper, options follow them: one refining convolution
(segmentation_models_pytorch, VainF), rates 12, 24, 36 at output stride 16, a separable convolution
after the ASPP and none of the norms inside separable ones (segmentation_models_pytorch), and on
MobileNetV2 plain convolutions and another padding (VainF).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from atrous.encoders import Encoder, Padding
from atrous.layers import ConvNormAct
from atrous.models.deeplab_v3 import ASPP, build_aspp, classifier, dilated_encoder
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import resize

__all__ = ["DeepLabV3Plus", "deeplab_v3_plus"]


class DeepLabV3Plus(SegmentationModel):
    """ASPP over the last stage, then a decoder that restores edges (Sec. 3.1, Fig. 2).

    Args:
        encoder: Yields five stages; the second has stride 4, the last the output stride.
        aspp: What looks at the last stage; the decoder's convolutions are of its kind.
        num_classes: Number of labels K, background included.
        skip_channels: Width of the reduced stride-4 features (Table 1).
        decoder_channels: Width of the refining convolutions (Table 2).
        decoder_convolutions: How many of them there are (Table 2).
        align_corners: Corner convention of every resizing.
    """

    def __init__(
        self,
        encoder: Encoder,
        aspp: ASPP,
        num_classes: int,
        *,
        skip_channels: int = 48,
        decoder_channels: int = 256,
        decoder_convolutions: int = 2,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        widths = [aspp.channels + skip_channels, *[decoder_channels] * decoder_convolutions]
        self.align_corners = align_corners
        self.feature_channels = decoder_channels
        self.encoder = encoder
        self.aspp = aspp
        self.reduce = ConvNormAct(encoder.channels[1], skip_channels, kernel_size=1)
        self.refine = nn.Sequential(
            *(aspp.convolution(before, width) for before, width in pairwise(widths))
        )
        self.head = classifier(decoder_channels, num_classes)

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
    multi_grid: str | None = None,
    even_dilation: bool | None = None,
    padding: Padding = "symmetric",
    aspp_channels: int = 256,
    rates: str | None = None,
    separable: bool | None = None,
    norm_between: bool = True,
    dropout: float = 0.1,
    refine: bool = False,
    image_level: bool = True,
    skip_channels: int = 48,
    decoder_channels: int = 256,
    decoder_convolutions: int = 2,
    align_corners: bool = False,
) -> DeepLabV3Plus:
    """Build DeepLab v3+ on an encoder by name.

    Args:
        encoder_name: See `atrous.encoders.create_encoder`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        output_stride: 16 (the paper's training), 8 (its best evaluation) or 32.
        multi_grid: See `atrous.models.deeplab_v3.deeplab_v3`, as for `even_dilation` and `rates`.
        even_dilation: Every unit of a dilated stage has the stage's rate.
        padding: Of the encoder's 3x3 convolutions; "same" and "early" are for weights that want it.
        aspp_channels: Width of the ASPP (Sec. 3.1).
        rates: Of the ASPP.
        separable: Depthwise separable convolutions in ASPP and decoder (Sec. 3.1); left out: on
            MobileNets and Xception, not on others.
        norm_between: Norm and ReLU inside the separable ones, as in the release.
        dropout: After the ASPP.
        refine: One more 3x3 after the ASPP (segmentation_models_pytorch).
        image_level: The ASPP's branch of the mean; better without on Cityscapes (Table 7).
        skip_channels: See `DeepLabV3Plus`, as for all that follow.
        decoder_channels: Width of the decoder.
        decoder_convolutions: Refining convolutions.
        align_corners: Corner convention of every resizing.
    """
    encoder = dilated_encoder(
        encoder_name,
        in_channels,
        output_stride,
        padding=padding,
        multi_grid=multi_grid,
        even_dilation=even_dilation,
    )
    is_light = encoder_name.startswith(("mobilenet", "xception"))
    aspp = build_aspp(
        encoder,
        aspp_channels,
        rates=rates,
        separable=is_light if separable is None else separable,
        norm_between=norm_between,
        dropout=dropout,
        refine=refine,
        image_level=image_level,
    )
    return DeepLabV3Plus(
        encoder,
        aspp,
        num_classes,
        skip_channels=skip_channels,
        decoder_channels=decoder_channels,
        decoder_convolutions=decoder_convolutions,
        align_corners=align_corners,
    )
