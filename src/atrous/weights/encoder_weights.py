"""ImageNet weights into an encoder: from a file or by name, for any number of channels.

Keys are torchvision's or timm's. What belongs to a file's classifier is dropped, except fc6 and
fc7 of AlexNet and VGG where FCN and DeepLab go on with them: as convolutions, which keep every n-th
tap and filter where they are smaller. VGG-16's weights also fill a VGG-16 with batch norm, whose
norms then start afresh, as SegNet's did. Everything else must fit. A file made with TensorFlow's
SAME padding wants an encoder built with `padding="same"`: either its safetensors header says so
(`padding: same`), or the caller does, through the network's option `padding`.
"""

import math
import operator
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from atrous.errors import InputError
from atrous.weights.blueprint import blueprint
from atrous.weights.foreign_keys import translated
from atrous.weights.imagenet import imagenet_tensors
from atrous.weights.matching import check_match
from atrous.weights.tensor_files import read_tensors

__all__ = ["adapt_channels", "load_encoder_weights"]

CLASSIFIER = (
    *("classifier.", "fc.", "head.", "heads.", "conv_head.", "bn2.", "pre_logits."),
    *("aux1.", "aux2."),  # GoogLeNet's
)
"""Where torchvision and timm keep what follows the features, or branches off."""

_LAYER = re.compile(r"(?<=^features\.)\d+")


def load_encoder_weights(
    encoder: nn.Module, source: str | Path, *, in_channels: int = 3, name: str = "the encoder"
) -> None:
    """Fill an encoder in place.

    Args:
        encoder: As `atrous.encoders.create_encoder` builds it; any device, keeps its dtype.
        source: "imagenet" (fetched once, then cached) or a file that `read_tensors` reads.
        in_channels: Channels the encoder takes; see `adapt_channels` for others than the file's.
        name: The encoder's name, by which "imagenet" finds its weights.

    Raises:
        InputError: No such file, damaged, or weights of another encoder.
        WeightsUnreachable: "imagenet", and no connection.
    """
    wanted = encoder.state_dict()
    if str(source) == "imagenet":
        given = imagenet_tensors(name)
    else:
        given, _ = read_tensors(Path(source))
    given = _without_classifier(translated(given, wanted), wanted)
    if name == "vgg16":
        given = _between_norms(given, wanted)
    first = _first_convolution(encoder)
    if first in given and given[first].ndim == 4 and given[first].shape[1] != in_channels:
        given[first] = adapt_channels(given[first], in_channels)
    given = _with_counters(given, wanted)
    if not given.keys() <= wanted.keys():
        rest = _rest_of_classifier(name)
        given = {k: v for k, v in given.items() if k in wanted or k not in rest}
    try:
        check_match(wanted, given, name)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    encoder.load_state_dict(given)


def adapt_channels(weight: Tensor, in_channels: int) -> Tensor:
    """Turn the first convolution of an RGB network into one for another number of channels.

    With 4 channels or more the first three stay red, green and blue; every other channel, and
    each of 1 or 2, gets the mean of the three. All are scaled by 3 / in_channels, so that an image
    with equal channels gives what its grey RGB twin gave before.

    Args:
        weight: (K, 3, h, w).
        in_channels: Channels wanted, at least 1.

    Returns:
        (K, in_channels, h, w), same dtype.

    Raises:
        InputError: The weights are not for three channels.
    """
    if weight.shape[1] != 3:
        raise InputError(
            f"the weights take {weight.shape[1]} channels and the network {in_channels}; only RGB "
            "weights can be adapted: use a file for 3 channels or none"
        )
    rgb = weight if in_channels > 3 else weight[:, :0]
    mean = weight.float().mean(1, keepdim=True).to(weight.dtype)
    others = mean.expand(-1, in_channels - rgb.shape[1], -1, -1)
    return torch.cat([rgb, others], dim=1) * (3 / in_channels)


def _without_classifier(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Drop the file's classifier, except the layers that the encoder itself has, if they fit."""
    kept = {}
    for name, tensor in given.items():
        if name.startswith(CLASSIFIER):
            continue
        if name.startswith("features.18.") and "features.17.conv.3.weight" in wanted:
            continue  # MobileNetV2's 1280 channels
        kept[name] = tensor
    for name, tensor in wanted.items():
        if name.startswith(CLASSIFIER):
            source = name if name in given else _BRANCH.sub("classifier.", name)
            fitting = _thinned(_as_convolution(given.get(source, tensor), tensor), tensor.shape)
            kept[name] = fitting if fitting.shape == tensor.shape else tensor
    return kept


_BRANCH = re.compile(r"^classifier\.\d+\.(?=\d)")
"""One of several classifiers, as DeepLab v2 has: each starts from the file's only one."""


def _between_norms(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spread the convolutions of a VGG without batch norm over one that has it; its norms stay.

    Both number their layers through, norms included, so the numbers differ where the norms do.
    """
    theirs, ours = (
        sorted(_layer(name) for name, tensor in tensors.items() if tensor.ndim == 4)
        for tensors in (given, wanted)
    )
    if theirs == ours or len(theirs) != len(ours):
        return dict(given)
    places = dict(zip(theirs, ours, strict=True))
    spread = {
        _LAYER.sub(str(places.get(_layer(name))), name): tensor for name, tensor in given.items()
    }
    norms = {name: tensor for name, tensor in wanted.items() if _layer(name) not in ours}
    return {**norms, **spread}


def _layer(name: str) -> int:
    """Return the number of a VGG's layer, -1 for what is none."""
    match = _LAYER.search(name)
    return int(match[0]) if match else -1


def _rest_of_classifier(name: str) -> set[str]:
    """Return the names in timm's whole network: some go on after the last feature map."""
    import timm

    if not timm.is_model(name):
        return set()
    with blueprint():
        return set(timm.create_model(name).state_dict())


def _as_convolution(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a fully connected layer's weights as those of the convolution it is (FCN).

    Behind a 1x1 convolution stand single cells, behind any other the maps of the last stage.
    """
    if tensor.ndim != 2 or wanted.ndim != 4:
        return tensor
    is_point = wanted.shape[-1] == 1
    channels = tensor.shape[1] if is_point else wanted.shape[1]
    side = math.isqrt(tensor.shape[1] // channels)
    if channels * side * side != tensor.shape[1]:
        return tensor
    return tensor.reshape(-1, channels, side, side)


def _thinned(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Keep evenly spread entries, first and last among them, along every axis that is too long.

    DeepLab v1's decimation of fc6: of 7 taps, 0 2 4 6 or 0 3 6. Of 4096 filters every fourth, the
    same of fc6 and of fc7 (the release draws a quarter at random: their order means nothing).
    """
    if tensor.ndim != len(shape) or any(map(operator.lt, tensor.shape, shape)):
        return tensor
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if have != want:
            places = torch.arange(want) * (have - 1) // max(want - 1, 1)
            tensor = tensor.index_select(axis, places)
    return tensor


def _with_counters(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the step counters of batch norm, which older files do not have."""
    counters = {k: v for k, v in wanted.items() if k.endswith("num_batches_tracked")}
    return {**counters, **given}


def _first_convolution(encoder: nn.Module) -> str:
    """Return the key of the convolution that sees the image: the first one that was built."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{name}.weight"
    return ""
