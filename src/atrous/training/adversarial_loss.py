"""What two networks that learn against each other minimise (Luc et al., 2016, arXiv:1611.08408).

The segmentation network maps an image x to probabilities s(x); the adversary a says how likely a
label map is a true one, y, and not predicted. bce(a, 1) = -log a and bce(a, 0) = -log(1 - a):

    the adversary minimises     bce(a(y), 1) + bce(a(s(x)), 0)
    the segmentation network    cross entropy(s(x), y) + lambda bce(a(s(x)), 1)

The last term is the one used in practice: the paper's joint objective subtracts
lambda bce(a(s(x)), 0) instead, whose gradient vanishes as soon as the adversary is right
(Goodfellow et al., 2014, Sec. 3).

Departures from the paper: the cross entropy is a mean over pixels, not a sum, so lambda has another
scale; cells without label are zero in both maps, so that void gives nothing away.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.models.adversarial import (
    Adversary,
    LabelMaps,
    StanfordAdversary,
    basic,
    product,
    scaling,
)
from atrous.ops import resize
from atrous.training.adversary_options import AdversaryName, AdversaryOptions
from atrous.training.losses import Targets
from atrous.training.supervision import labels_at

__all__ = ["AdversarialLoss", "Judgement"]


class Judgement(NamedTuple):
    """What the adversary made of some images: sums over those that have a labelled cell.

    Attributes:
        adversary: Of bce(a(y), 1) + bce(a(s), 0), scalar.
        segmentor: Of bce(a(s), 1), scalar.
        right: Of the share of each image's two maps that it told rightly, scalar.
    """

    adversary: Tensor
    segmentor: Tensor
    right: Tensor


class AdversarialLoss(nn.Module):
    """An adversary and both losses.

    Args:
        num_classes: K.
        in_channels: C of the images.
        adversary: Which network; not "none".
        options: The encoding and its tau.
        seed: Of the adversary's weights; the global generator is left where it was.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        adversary: AdversaryName,
        options: AdversaryOptions,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.options = options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _network(num_classes, in_channels, adversary, options.encoding)

    def map_size(self, images: Tensor, scores: Tensor) -> tuple[int, int]:
        """Return the size at which maps are shown: the scores', or a quarter of the images'."""
        if isinstance(self.network, StanfordAdversary):
            return -(-images.shape[-2] // 4), -(-images.shape[-1] // 4)
        return scores.shape[-2], scores.shape[-1]

    def forward(self, scores: Tensor, targets: Targets, images: Tensor) -> Judgement:
        """Show the adversary what is true and what was predicted.

        Args:
            scores: (N, K, h, w) logits.
            targets: Labels of `map_size`.
            images: (N, C, H, W), normalised.
        """
        size = targets.labels.shape[-2], targets.labels.shape[-1]
        logits = resize(scores.float(), size, align_corners=targets.align_corners)
        maps = self._encoded(logits.softmax(1), targets, images)
        predicted, true = (self._decide(y, images) for y in maps)
        shown = (targets.labels != targets.ignore_index).flatten(1).any(1).to(true.dtype)
        return Judgement(
            adversary=((functional.softplus(-true) + functional.softplus(predicted)) * shown).sum(),
            segmentor=(functional.softplus(-predicted) * shown).sum(),
            right=(((true > 0).float() + (predicted <= 0).float()) / 2 * shown).sum(),
        )

    def _encoded(self, probabilities: Tensor, targets: Targets, images: Tensor) -> LabelMaps:
        labels, ignore = targets.labels, targets.ignore_index
        if self.options.encoding == "product":
            size = labels.shape[-2], labels.shape[-1]
            small = _shrunk(images, size, align_corners=targets.align_corners)
            return product(probabilities, labels, small, ignore_index=ignore)
        if self.options.encoding == "scaling":
            return scaling(probabilities, labels, tau=self.options.tau, ignore_index=ignore)
        return basic(probabilities, labels, ignore_index=ignore)

    def _decide(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return logits (N,) in float32: above 0 means true."""
        if isinstance(self.network, StanfordAdversary):
            decided: Tensor = self.network(label_maps, images)
        else:
            decided = self.network(label_maps)
        return decided.float()


def _shrunk(images: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Return the mean colours around the pixels whose labels `labels_at` picks."""
    if not align_corners:
        return functional.interpolate(images, size, mode="area")
    stride = max((images.shape[-1] - 1) // max(size[1] - 1, 1), 1)
    reach = stride // 2
    around = functional.avg_pool2d(
        images, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False
    )
    return labels_at(around, size, align_corners=True)


def _network(
    num_classes: int, in_channels: int, adversary: AdversaryName, encoding: str
) -> Adversary | StanfordAdversary:
    if adversary == "stanford":
        return StanfordAdversary(num_classes, in_channels)
    assert adversary != "none"
    colours = in_channels if encoding == "product" else 1
    return Adversary(colours * num_classes, architecture=adversary)
