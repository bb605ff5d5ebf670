"""Adversaries that tell true label maps from predicted ones (Luc et al., 2016, arXiv:1611.08408).

A segmentation network is trained against a second one, which sees a whole label map, true or
predicted, and says which it is (Sec. 3.1). Here are the adversaries and what they are shown; the
losses belong to the training. The layers are those of public ports, whose fields of view, 34x34
and 18x18 cells, are the paper's.

Departures from the ports: one logit instead of two and a softmax, which is the same function;
poolings round up, so that a map of any size gives an answer; those of the Stanford adversary's
image branch have stride 2, so that image and label map meet at a quarter of the size; 1x1
convolutions are not padded; the Product encoding keeps the image's order of colours, not BGR.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from atrous.errors import InputError, unknown

__all__ = ["Adversary", "LabelMaps", "StanfordAdversary", "basic", "product", "scaling"]

# Kernel size and width of each convolution; None is a 2x2 max pooling.
_Layers = Sequence[tuple[int, int] | None]
_VOC: dict[str, _Layers] = {
    "large_fov": (
        *((3, 96), (3, 128), (3, 128), None),
        *((3, 256), (3, 256), None),
        *((3, 512), (3, 1)),
    ),
    "large_fov_light": (
        *((3, 96), (3, 128), (3, 128), None),
        *((3, 128), (3, 128), None),
        *((3, 256), (3, 1)),
    ),
    "small_fov": (
        *((3, 96), (1, 128), None),
        *((3, 256), (1, 256), None),
        *((3, 512), (1, 1)),
    ),
    "small_fov_light": (
        *((3, 96), (1, 128), None),
        *((3, 128), (1, 128), None),
        *((3, 256), (1, 1)),
    ),
}
_STANFORD_LABELS: _Layers = ((5, 64),)
_STANFORD_IMAGE: _Layers = ((5, 16), None, (5, 64), None)
_STANFORD_JOINT: _Layers = ((3, 128), None, (3, 256), None, (3, 512), (3, 1))


class Adversary(nn.Module):
    """The adversary for PASCAL VOC: a stack of convolutions over the label map (Sec. 3.2).

    Args:
        in_channels: K of the encodings Basic and Scaling, 3 K of Product.
        architecture: Field of view of 34x34 ("large_fov") or 18x18 cells, and their light forms.

    Raises:
        InputError: An unknown architecture.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        architecture: Literal[
            "large_fov", "large_fov_light", "small_fov", "small_fov_light"
        ] = "large_fov",
    ) -> None:
        super().__init__()
        if architecture not in _VOC:
            raise unknown("adversary", architecture, _VOC)
        self.layers = nn.Sequential(*_stack(in_channels, _VOC[architecture]))

    def forward(self, label_maps: Tensor) -> Tensor:
        """Map encoded label maps (N, in_channels, h, w) to logits (N,): above 0 means true.

        The map of scores is averaged, so there is one decision per image, not one per cell.
        """
        scores: Tensor = self.layers(label_maps)
        return scores.mean((1, 2, 3))


class StanfordAdversary(nn.Module):
    """The adversary for Stanford Background: label map and image, each in a branch (Sec. 3.2).

    Args:
        num_classes: K; 8 in that data set.
        in_channels: Channels of the images.
    """

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.labels = nn.Sequential(*_stack(num_classes, _STANFORD_LABELS))
        self.image = nn.Sequential(*_stack(in_channels, _STANFORD_IMAGE))
        self.joint = nn.Sequential(*_stack(64 + 64, _STANFORD_JOINT))

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Map label maps (N, K, ceil(H/4), ceil(W/4)) and images (N, C, H, W) to logits (N,).

        Raises:
            InputError: The label maps are not a quarter of the images.
        """
        quarter = [-(-size // 4) for size in images.shape[-2:]]
        if list(label_maps.shape[-2:]) != quarter:
            raise InputError(
                f"the label maps are {_size(label_maps)}, but images of {_size(images)} need maps "
                f"of {quarter[0]}x{quarter[1]}, a quarter of each side; resize one of them"
            )
        joined = torch.cat([self.labels(label_maps), self.image(images)], dim=1)
        scores: Tensor = self.joint(joined)
        return scores.mean((1, 2, 3))


class LabelMaps(NamedTuple):
    """What an adversary is shown; cells without label are zero in both.

    Attributes:
        predicted: (N, D, h, w), differentiable in the probabilities.
        true: (N, D, h, w), without gradient.
    """

    predicted: Tensor
    true: Tensor


def basic(probabilities: Tensor, labels: Tensor, *, ignore_index: int = 255) -> LabelMaps:
    """Encode as they are: class probabilities and one-hot labels (Sec. 3.2, "Basic").

    An adversary can tell these two by their values alone: the true map holds 0 and 1 only.

    Args:
        probabilities: (N, K, h, w), softmax of the segmentation network's scores.
        labels: (N, h, w) integers in 0..K-1, or `ignore_index`.
        ignore_index: Label of void.

    Raises:
        InputError: The labels have another size than the probabilities.
    """
    labelled = _labelled(probabilities, labels, ignore_index)
    return LabelMaps(probabilities * labelled, _one_hot(probabilities, labels, labelled))


def product(
    probabilities: Tensor, labels: Tensor, images: Tensor, *, ignore_index: int = 255
) -> LabelMaps:
    """Encode as the image once per class, weighed by that class's map (Sec. 3.2, "Product").

    Args:
        probabilities: (N, K, h, w).
        labels: (N, h, w), as for `basic`.
        images: (N, C, h, w) at the size of the maps, in units that keep the colours around 0.
        ignore_index: Label of void.

    Returns:
        Maps of C K channels: all classes of the first colour, then of the second ...

    Raises:
        InputError: Labels or images have another size than the probabilities.
    """
    if images.shape[-2:] != probabilities.shape[-2:]:
        raise InputError(
            f"the images are {_size(images)}, the probabilities {_size(probabilities)}; "
            "resize the images to the label maps first"
        )
    maps = basic(probabilities, labels, ignore_index=ignore_index)
    colours = images[:, :, None]
    return LabelMaps(*((colours * y[:, None]).flatten(1, 2) for y in maps))


def scaling(
    probabilities: Tensor, labels: Tensor, *, tau: float = 0.9, ignore_index: int = 255
) -> LabelMaps:
    """Encode the truth as soft as the prediction: at least `tau` true (Sec. 3.2, "Scaling").

    The true label gets max(tau, its probability); the others share the rest in the proportions
    that the network gave them. Where the network is that sure itself, both maps are equal.

    Args:
        probabilities: (N, K, h, w).
        labels: (N, h, w), as for `basic`.
        tau: Least probability of the true label.
        ignore_index: Label of void.

    Raises:
        InputError: The labels have another size than the probabilities.
    """
    predicted, one_hot = basic(probabilities, labels, ignore_index=ignore_index)
    soft = predicted.detach()
    sure = (soft * one_hot).sum(1, keepdim=True)
    target = sure.clamp(min=tau)
    rest = (1 - target) / (1 - sure).clamp(min=torch.finfo(soft.dtype).eps)
    return LabelMaps(predicted, torch.where(one_hot.bool(), target, soft * rest))


def _stack(in_channels: int, layers: _Layers) -> Iterator[nn.Module]:
    """Yield convolutions that keep the size, each with ReLU but the one-channel score, poolings."""
    for layer in layers:
        if layer is None:
            yield nn.MaxPool2d(2, ceil_mode=True)
            continue
        kernel_size, channels = layer
        yield nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)
        if channels > 1:
            yield nn.ReLU(inplace=True)
        in_channels = channels


def _labelled(probabilities: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Return where there are labels, (N, 1, h, w) of booleans."""
    if labels.shape[-2:] != probabilities.shape[-2:]:
        raise InputError(
            f"the labels are {_size(labels)}, the probabilities {_size(probabilities)}; "
            "take the nearest label of each cell first"
        )
    return (labels != ignore_index)[:, None]


def _one_hot(probabilities: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return (N, K, h, w) in the probabilities' dtype, zero where there is no label."""
    classes = torch.arange(probabilities.shape[1], device=labels.device).view(-1, 1, 1)
    return ((labels[:, None] == classes) & labelled).to(probabilities.dtype)


def _size(maps: Tensor) -> str:
    return f"{maps.shape[-2]}x{maps.shape[-1]}"
