"""FCN-8s: fully convolutional network on VGG-16 (Long, Shelhamer, Darrell, CVPR 2015).

The release's network: an image padded by 100 pixels, skips from pool3 and pool4, element-wise
sums, and all three upsamplings fixed to bilinear (the paper learns the two inner ones and reports
no difference). The fixed kernels are grouped; the release's dense ones hold zeros elsewhere.

Departures from the paper: none with `padding="release"`. With `padding="same"` the image is
padded by 1 and fc6 by 3, which costs a third as much on small images.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from atrous.encoders.vgg import VGG16, fully_convolutional
from atrous.errors import unknown
from atrous.models.segmentation_model import Scores, SegmentationModel

__all__ = ["FCN8s", "crop_offsets", "fcn8s"]


class FCN8s(SegmentationModel):
    """Scores at stride 32, refined by pool4 and pool3, upsampled by 8 (Sec. 4.2, Fig. 3).

    Args:
        in_channels: Channels of the images.
        num_classes: Number of labels K, background included.
        padding: "release" (100 pixels) or "same" (every layer keeps its size).
        fc_channels: Width of fc6 and fc7.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        padding: Literal["release", "same"] = "release",
        fc_channels: int = 4096,
    ) -> None:
        super().__init__()
        image_padding, fc6_padding = (100, 0) if padding == "release" else (1, 3)
        classifier = fully_convolutional(fc_channels, padding=fc6_padding)
        self.encoder = VGG16(in_channels, first_padding=image_padding, classifier=classifier)
        self.score_fc7 = _zero_scores(fc_channels, num_classes)
        self.score_pool4 = _zero_scores(512, num_classes)
        self.score_pool3 = _zero_scores(256, num_classes)
        self.upscore2 = _bilinear_upsampling(num_classes, 2)
        self.upscore_pool4 = _bilinear_upsampling(num_classes, 2)
        self.upscore8 = _bilinear_upsampling(num_classes, 8)
        self.offsets = crop_offsets(image_padding, fc6_padding)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H, W)."""
        _, _, pool3, pool4, pool5 = self.encoder(images)
        pool4_offset, pool3_offset, image_offset = self.offsets
        x = self.score_fc7(self.encoder.classifier(pool5))
        x = _add(self.upscore2(x), self.score_pool4(pool4), pool4_offset)
        x = _add(self.upscore_pool4(x), self.score_pool3(pool3), pool3_offset)
        return Scores(_crop(self.upscore8(x), image_offset, images.shape[-2:]))


def fcn8s(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    padding: Literal["release", "same"] = "release",
    fc_channels: int = 4096,
) -> FCN8s:
    """Build FCN-8s, whose encoder is VGG-16; the options are those of `FCN8s`."""
    if encoder_name != "vgg16":
        raise unknown("encoder of fcn8s", encoder_name, ["vgg16"])
    return FCN8s(in_channels, num_classes, padding=padding, fc_channels=fc_channels)


def crop_offsets(image_padding: int, fc6_padding: int) -> tuple[int, int, int]:
    """Return where pool4, pool3 and the image begin under the upsampled scores that meet them.

    Cell y of a map lies over position (y - shift) * stride of the image. A window (kernel k,
    stride s, padding p) turns the shift b into (b + p - (k - 1) / 2) / s, an upsampling into
    b s + (k - 1) / 2. Two maps of one stride are apart by the difference of their shifts: positive
    where the skip begins before the upsampled scores, negative where it begins after them.

    Example:
        >>> crop_offsets(100, 0)
        (5, 9, 31)
        >>> crop_offsets(1, 3)
        (-1, -1, 4)
    """
    shift, pools = float(image_padding - 1), []
    for _ in range(5):
        shift = (shift - 0.5) / 2
        pools.append(shift)
    scores = 2 * (shift + fc6_padding - 3) + 1.5
    pool4_offset = pools[3] - scores
    scores = 2 * (scores if pool4_offset > 0 else pools[3]) + 1.5
    pool3_offset = pools[2] - scores
    scores = 8 * (scores if pool3_offset > 0 else pools[2]) + 7.5
    return round(pool4_offset), round(pool3_offset), round(scores)


def _add(scores: Tensor, skip: Tensor, offset: int) -> Tensor:
    """Sum two maps of one stride where both are: the one that begins first is cropped."""
    if offset > 0:
        return scores + _crop(skip, offset, scores.shape[-2:])
    return _crop(scores, -offset, skip.shape[-2:]) + skip


def _crop(x: Tensor, offset: int, size: torch.Size) -> Tensor:
    height, width = size
    return x[..., offset : offset + height, offset : offset + width]


def _zero_scores(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Return a 1x1 score layer that begins with zeros (Sec. 4.2 and the release)."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a fixed bilinear deconvolution, each channel by itself (Sec. 3.3)."""
    size = 2 * factor
    line = 1 - (torch.arange(size) - (factor - 0.5)).abs() / factor
    layer = nn.ConvTranspose2d(channels, channels, size, factor, groups=channels, bias=False)
    with torch.no_grad():
        layer.weight.copy_(line[:, None] * line)
    layer.weight.requires_grad_(False)
    return layer
