"""Any feature pyramid of timm; timm is imported when one is built.

The encoder is timm's own module, so its keys are timm's and public checkpoints load. Below output
stride 32 timm dilates at construction, with the convention that the first unit of a dilated stage
keeps the dilation before it (as torchvision). A projection that timm drops where its stride is gone
is put back (`_PROJECTING`), so that the output stride changes no parameter. Patches and poolings
that leave out what is left of a row or a column see padded images (`PaddedPyramid`).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders.encoder import Encoder
from atrous.errors import InputError
from atrous.ops import Normalization
from atrous.ops.lattice import pad_to_lattice

__all__ = ["PaddedPyramid", "timm_names", "timm_pyramid"]

ODD, EVEN = (95, 33), (96, 64)
"""Heights and widths on which a pyramid shows whether it rounds sizes up."""

_PROJECTING = {"xception71": "blocks_4"}
"""The block whose 1x1 shortcut timm leaves out once its stride is gone: 728 channels come and go.
All entry blocks of DeepLab v3+'s Xception have one (Sec. 4.3, Fig. 4)."""


def timm_pyramid(name: str, in_channels: int, output_stride: int) -> Encoder:
    """Build a network of timm as five feature maps, with random weights.

    Args:
        name: As in `timm.list_models()`.
        in_channels: Channels of the images.
        output_stride: 32, or 16 or 8 where that network can be dilated.

    Raises:
        InputError: It has no such pyramid, or cannot be dilated.
    """
    pyramid = _create(name, in_channels, output_stride)
    strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
    options = {}
    if _strides(pyramid) == (1, *strides):  # timm's VGG begins before its first pooling
        options = {"out_indices": (1, 2, 3, 4, 5)}
        pyramid = _create(name, in_channels, output_stride, **options)
    if _strides(pyramid) not in (strides, strides[1:]):
        raise InputError(
            f"encoder {name} yields strides {_strides(pyramid)}, but a network needs {strides}; "
            "choose a convolutional pyramid such as resnet50"
        )
    channels = tuple(cast("_FeatureInfo", pyramid.feature_info).channels())
    starts_at_4 = len(channels) == 4
    with torch.device("meta"):
        trial = _create(name, in_channels, output_stride, **options)
    is_whole = not starts_at_4 and _covers(trial, in_channels, strides, ODD)
    if not is_whole and not _covers(trial, in_channels, strides[-len(channels) :], EVEN):
        raise InputError(
            f"encoder {name} yields maps that leave out the border of the image; choose one such "
            "as resnet50"
        )
    padded = PaddedPyramid(pyramid, strides)
    encoder = cast("Encoder", pyramid if is_whole else padded)
    encoder.channels = (in_channels, *channels) if starts_at_4 else channels
    encoder.strides = strides
    encoder.output_stride = output_stride
    encoder.normalization = _normalization(pyramid, in_channels)
    return encoder


def timm_names() -> list[str]:
    """Return every architecture that timm knows (about a thousand)."""
    import timm

    names: list[str] = timm.list_models()
    return names


class PaddedPyramid(nn.Module):
    """A pyramid that rounds sizes down, or takes some sizes only, over images of any size.

    Images get zeros, the mean pixel, at the bottom and the right up to a multiple of the output
    stride; the maps lose what lies beyond the image. A pyramid that begins at stride 4, as
    ConvNeXt's and Swin's do, is completed: its stage of stride 2 is the image averaged over 2x2.

    Args:
        pyramid: Yields the last four or five stages.
        strides: Of all five.
    """

    def __init__(self, pyramid: nn.Module, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.cells = strides

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps."""
        height, width = images.shape[-2:]
        stages = list(self.pyramid(pad_to_lattice(images, self.cells[-1], 0)))
        if len(stages) < len(self.cells):
            stages.insert(0, functional.avg_pool2d(images, 2, ceil_mode=True))
        return [
            stage[..., : -(-height // stride), : -(-width // stride)]
            for stage, stride in zip(stages, self.cells, strict=True)
        ]


class _FeatureInfo(Protocol):
    """What a pyramid of timm says of its stages."""

    def channels(self) -> list[int]: ...

    def reduction(self) -> list[int]: ...


def _create(
    name: str, in_channels: int, output_stride: int, **options: tuple[int, ...]
) -> nn.Module:
    """Build timm's network; what it cannot do becomes one line."""
    import timm

    settings: dict[str, Any] = {"features_only": True, "in_chans": in_channels, **options}
    if output_stride != 32:
        settings["output_stride"] = output_stride
    try:
        pyramid: nn.Module = timm.create_model(name, pretrained=False, **settings)
    except (AssertionError, NotImplementedError, TypeError, RuntimeError) as error:
        dilated = output_stride != 32
        remedy = "use output_stride=32 or a ResNet" if dilated else "choose one such as resnet50"
        raise InputError(
            f"encoder {name} is no feature pyramid of output stride {output_stride}; {remedy}"
        ) from error
    if name in _PROJECTING:
        _project(pyramid.get_submodule(_PROJECTING[name]))
    if _card(pyramid).get("fixed_input_size"):
        raise InputError(
            f"encoder {name} takes images of one size only; choose one such as resnet50"
        )
    return pyramid


def _covers(
    pyramid: nn.Module, in_channels: int, strides: tuple[int, ...], size: tuple[int, int]
) -> bool:
    """Return whether the maps of an image of that size, on the meta device, cover all of it."""
    try:
        stages = pyramid.eval()(torch.empty(1, in_channels, *size, device="meta"))
    except RuntimeError:  # of a size that it cannot take
        return False
    expected = [tuple(-(-side // stride) for side in size) for stride in strides]
    return [tuple(stage.shape[-2:]) for stage in stages] == expected


def _project(block: nn.Module) -> None:
    """Give a block of Xception its 1x1 shortcut with norm, if timm left it out."""
    from timm.layers.conv_bn_act import ConvNormAct

    if isinstance(block.shortcut, nn.Module):
        return
    norm = block.get_submodule("stack.conv3.bn_pw")
    assert isinstance(norm, nn.BatchNorm2d)
    width = norm.num_features
    block.shortcut = ConvNormAct(
        width, width, 1, norm_layer=partial(nn.BatchNorm2d, eps=norm.eps), apply_act=False
    )


def _strides(pyramid: nn.Module) -> tuple[int, ...]:
    return tuple(cast("_FeatureInfo", pyramid.feature_info).reduction())


def _card(pyramid: nn.Module) -> Mapping[str, Sequence[float]]:
    """Return what timm says of the network's public weights; empty where there are none."""
    return cast("Mapping[str, Sequence[float]]", getattr(pyramid, "pretrained_cfg", None) or {})


def _normalization(pyramid: nn.Module, in_channels: int) -> Normalization:
    """Return what timm's weights of this network were trained on."""
    card = _card(pyramid)
    if in_channels != 3 or "mean" not in card:
        return Normalization.for_channels(in_channels)
    return Normalization(tuple(card["mean"]), tuple(card["std"]))
