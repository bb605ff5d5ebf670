"""Attention to Scale: one network on several sizes of the image (Chen et al., CVPR 2016).

arXiv:1511.03339. The paper's network is DeepLab-LargeFOV of deeplab_v1.py, without the average
pooling before fc6; here any network of ours may stand in its place. DeepLab v2's multi-scale
input is the same with `merge="max"`.

Departures from the paper:
- Each scale is supervised at its own resolution; the release resizes the scores of scale 0.75
  first.
- The last layer of the attention begins at zero, so that training begins with the average.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from atrous.errors import InputError
from atrous.models.deeplab_v1 import gaussian
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import resize

__all__ = ["AttentionToScale", "Merge", "attention_to_scale"]

Merge = Literal["attention", "average", "max"]
"""How the scores of all scales become one map (Sec. 3.2)."""


class AttentionToScale(SegmentationModel):
    """Scores of all scales under shared weights, merged at each position (Sec. 3.2).

    Attention is a softmax over the scales, the same for all classes, from the features of all
    scales together: `Scores.features` of the network, or its scores if it gives none.
    `Scores.attention` holds it, in the order of the scales; average and max have none, as the
    first is the same everywhere and the second another for every class.

    Args:
        network: Sees every scale; its corner convention is kept.
        num_classes: Number of labels K, background included.
        scales: Factors on the image size; scores are merged at the resolution of the first.
        merge: "attention", or the paper's baselines "average" and "max".
        extra_supervision: Give the scores of each scale as auxiliary ones (Sec. 3.3), before
            those that the network itself has.
        attention_channels: Width of the attention's 3x3 convolution (512).
    """

    def __init__(
        self,
        network: SegmentationModel,
        num_classes: int,
        *,
        scales: tuple[float, ...] = (1.0, 0.75, 0.5),
        merge: Merge = "attention",
        extra_supervision: bool = True,
        attention_channels: int = 512,
    ) -> None:
        super().__init__()
        self.align_corners = network.align_corners
        if hasattr(network, "normalization"):  # one of its own; its encoder's is found without
            self.normalization = network.normalization
        self.network = network
        self.scales = scales
        self.merge = merge
        self.extra_supervision = extra_supervision
        if merge == "attention":
            channels = len(scales) * (network.feature_channels or num_classes)
            self.attention = _attention(channels, attention_channels, len(scales))

    @property
    def encoder(self) -> nn.Module | None:
        """The network's encoder, which public weights fill; None where it has none."""
        encoder: nn.Module | None = getattr(self.network, "encoder", None)
        return encoder

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        """Those of the network: RefineNet may have one for each scale of its own."""
        return self.network.encoders

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, h, w)."""
        views = [self.network.score(self._resized(images, scale)) for scale in self.scales]
        size = views[0].main.shape[-2:]
        maps = torch.stack([self._at(view.main, size) for view in views], dim=1)  # (N, S, K, h, w)
        weights = None
        if self.merge == "max":
            main = maps.amax(1)
        elif self.merge == "average":
            main = maps.mean(1)
        else:
            features = [v.main if v.features is None else v.features for v in views]
            x = torch.cat([self._at(feature, size) for feature in features], dim=1)
            weights = self.attention(x).softmax(1)
            main = (weights.unsqueeze(2) * maps).sum(1)
        scales = tuple(view.main for view in views) if self.extra_supervision else ()
        inner = tuple(scores for view in views for scores in view.auxiliary)
        return Scores(main, scales + inner, weights)

    def auxiliary_weights(self, count: int) -> tuple[float, ...]:
        """Return 1 for each scale (Sec. 3.3) and the network's own weights for what it adds."""
        scales = len(self.scales) if self.extra_supervision else 0
        inner = self.network.auxiliary_weights((count - scales) // len(self.scales))
        return (self.auxiliary_weight,) * scales + inner * len(self.scales)

    def _resized(self, images: Tensor, scale: float) -> Tensor:
        """Shrink or enlarge images; corners stay on corners where the network wants that."""
        edge = 1 if self.align_corners else 0
        height, width = (max(1, round((n - edge) * scale) + edge) for n in images.shape[-2:])
        return resize(images, (height, width), align_corners=self.align_corners)

    def _at(self, x: Tensor, size: torch.Size) -> Tensor:
        return resize(x, (size[0], size[1]), align_corners=self.align_corners)


def attention_to_scale(
    network: SegmentationModel,
    num_classes: int,
    *,
    scales: str = "1+0.75+0.5",
    merge: Merge = "attention",
    extra_supervision: bool = True,
    attention_channels: int = 512,
) -> AttentionToScale:
    """Build Attention to Scale around a network; its options are those of `AttentionToScale`.

    Args:
        network: Built by name in build.py: the option `network`, with its own options.
        num_classes: Number of labels K.
        scales: Factors on the image size, joined by +.
        merge: "attention", "average" or "max".
        extra_supervision: Supervise each scale too.
        attention_channels: Width of the attention's 3x3 convolution.

    Raises:
        InputError: Scales that are no numbers above 0, at most 4.
    """
    return AttentionToScale(
        network,
        num_classes,
        scales=_parsed(scales),
        merge=merge,
        extra_supervision=extra_supervision,
        attention_channels=attention_channels,
    )


def _parsed(scales: str) -> tuple[float, ...]:
    try:
        factors = tuple(float(word) for word in scales.split("+"))
    except ValueError:
        factors = (0.0,)
    if not all(0 < factor <= 4 for factor in factors):
        raise InputError(
            f"scales are {scales!r}; give numbers above 0, at most 4, joined by +: 1+0.75+0.5"
        )
    return factors


def _attention(in_channels: int, channels: int, num_scales: int) -> nn.Sequential:
    """Return the two layers of the attention (Sec. 3.2): 3x3, ReLU, dropout, 1x1."""
    return nn.Sequential(
        gaussian(nn.Conv2d(in_channels, channels, 3, padding=1), 0.01),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        gaussian(nn.Conv2d(channels, num_scales, 1), 0.0),
    )
