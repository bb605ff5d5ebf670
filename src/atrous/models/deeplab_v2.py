"""DeepLab v2: atrous spatial pyramid pooling (Chen et al., TPAMI 2017, arXiv:1606.00915).

Parallel convolutions of several rates over the last stage, each with a classifier of its own;
their scores are summed. On VGG-16 a branch is DeepLab-LargeFOV's fc6, fc7 and fc8, on every other
encoder one 3x3 convolution. Geometry as in deeplab_v1.py: scores lie corner to corner.

Departures from the paper:
- ResNets are timm's and torchvision's: the stride sits on the 3x3 convolution (the release: on the
  1x1 before it) and the first unit of a dilated stage keeps the rate before it (the release:
  that of its stage), so that ImageNet's weights see what they saw before the dilation. The
  release's is `resnet101_caffe`.
- Batch norm trains unless a run keeps it; `--recipe deeplab_v2` does, as the release.
- `multi_scale` is off: it costs 1.8 times the work. On, it is the paper's best.
- Every branch on VGG-16 begins with the same filters of ImageNet's fc6 and fc7.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from atrous.encoders import Encoder, create_encoder
from atrous.errors import InputError
from atrous.models.attention_to_scale import AttentionToScale
from atrous.models.deeplab_v1 import Fc6, HoleVGG16, fc6_fc7, gaussian
from atrous.models.segmentation_model import Scores, SegmentationModel, refuse_unused
from atrous.ops import pad_to_lattice, trim

__all__ = ["RATES", "DeepLabV2", "DeepLabV2VGG16", "deeplab_v2", "scaled_rates"]

RATES: dict[str, tuple[int, ...]] = {
    "aspp_l": (6, 12, 18, 24),
    "aspp_s": (2, 4, 8, 12),
    "large_fov": (12,),
    "plain": (),
}
"""Rates of each head at output stride 8 (Sec. 4.1.2); "plain" is a 1x1 classifier."""


class DeepLabV2(SegmentationModel):
    """A sum of 3x3 classifiers of several rates over the last stage (Sec. 3.2, Fig. 4).

    Args:
        encoder: The last of its stages is scored; its cells lie over every `output_stride`-th
            pixel, as those of a ResNet do.
        num_classes: Number of labels K, background included.
        rates: Dilation of each classifier; none at all is a single 1x1.
    """

    align_corners = True

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        rates: tuple[int, ...] = RATES["aspp_l"],
    ) -> None:
        super().__init__()
        self.feature_channels = encoder.channels[-1]
        self.encoder = encoder
        kernel_size = 3 if rates else 1
        self.classifiers = nn.ModuleList(
            gaussian(
                nn.Conv2d(
                    encoder.channels[-1],
                    num_classes,
                    kernel_size,
                    padding=rate * (kernel_size // 2),
                    dilation=rate,
                ),
                0.01,
            )
            for rate in rates or (1,)
        )

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits at the output stride."""
        padded = pad_to_lattice(images, self.encoder.output_stride)
        x = self.encoder(padded)[-1]
        scores = torch.stack([classifier(x) for classifier in self.classifiers]).sum(0)
        whole, size = padded.shape[-2:], images.shape[-2:]
        return Scores(trim(scores, whole, size), features=trim(x, whole, size))


class DeepLabV2VGG16(SegmentationModel):
    """A sum of DeepLab-LargeFOV heads of several rates over VGG-16 (Sec. 4.1.2, Fig. 7).

    `Scores.features` are pool5, which all branches see: their fc7 together are 4096 channels wide.

    Args:
        encoder: The trunk with fc6 and fc7 of every branch, in a `ModuleList`.
        num_classes: Number of labels K, background included.
        fc_channels: Width of fc6 and fc7.
    """

    align_corners = True

    def __init__(self, encoder: HoleVGG16, num_classes: int, *, fc_channels: int = 1024) -> None:
        super().__init__()
        self.feature_channels = encoder.channels[-1]
        self.encoder = encoder
        self.fc8 = nn.ModuleList(
            gaussian(nn.Conv2d(fc_channels, num_classes, 1), 0.01) for _ in encoder.classifier
        )

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H/8, W/8)."""
        padded = pad_to_lattice(images, 8)
        pool5 = self.encoder(padded)[-1]
        branches = zip(self.encoder.classifier, self.fc8, strict=True)
        scores = torch.stack([fc8(fc7(pool5)) for fc7, fc8 in branches]).sum(0)
        whole, size = padded.shape[-2:], images.shape[-2:]
        return Scores(trim(scores, whole, size), features=trim(pool5, whole, size))


def deeplab_v2(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    head: Literal["aspp_l", "aspp_s", "large_fov", "plain"] = "aspp_l",
    multi_scale: bool = False,
    output_stride: int = 8,
    even_dilation: bool | None = None,
    fc_channels: int = 1024,
) -> SegmentationModel:
    """Build DeepLab v2 on VGG-16 or on any encoder that can be dilated.

    Args:
        encoder_name: "vgg16" for the paper's branches of three layers; else see
            `atrous.encoders.create_encoder`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        head: Rates of the classifiers: ASPP-L, ASPP-S, LargeFOV, or a 1x1 (not on VGG-16).
        multi_scale: Look at scales 1, 0.75 and 0.5 and take the maximum (Sec. 4.1.2, "MSC").
        output_stride: 8; 16 and 32 divide the rates (not on VGG-16).
        even_dilation: Dilate the first unit of a dilated stage too, as the release does (not on
            VGG-16, which has no such units). None is what keeps the features of the strided
            encoder: the release's way on `resnet101_caffe`, torchvision's elsewhere.
        fc_channels: Width of fc6 and fc7; on VGG-16 only.

    Raises:
        InputError: An unknown encoder, or one that cannot do this.
    """
    network: SegmentationModel
    if encoder_name == "vgg16":
        if output_stride != 8 or head == "plain":
            raise InputError(
                f"deeplab_v2 on vgg16 has no head={head!r} at output stride {output_stride}; leave "
                "output_stride at 8 and choose aspp_l, aspp_s or large_fov"
            )
        refuse_unused(deeplab_v2, "on vgg16", even_dilation=even_dilation)
        branches = nn.ModuleList(fc6_fc7(Fc6(3, rate, fc_channels)) for rate in RATES[head])
        trunk = HoleVGG16(in_channels, classifier=branches)
        network = DeepLabV2VGG16(trunk, num_classes, fc_channels=fc_channels)
    else:
        refuse_unused(deeplab_v2, f"on {encoder_name}", fc_channels=fc_channels)
        encoder = create_encoder(
            encoder_name,
            in_channels=in_channels,
            output_stride=output_stride,
            even_dilation=even_dilation,
        )
        rates = scaled_rates(RATES[head], output_stride)
        network = DeepLabV2(encoder, num_classes, rates=rates)
    return AttentionToScale(network, num_classes, merge="max") if multi_scale else network


def scaled_rates(rates: tuple[int, ...], output_stride: int) -> tuple[int, ...]:
    """Return rates of output stride 8 for another one: as many pixels between the taps.

    Example:
        >>> scaled_rates((6, 12, 18, 24), 16)
        (3, 6, 9, 12)
    """
    return tuple(max(rate * 8 // output_stride, 1) for rate in rates)
