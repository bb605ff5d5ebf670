"""Any feature pyramid of timm; timm is imported when one is built.

The encoder is timm's own module, so its keys are timm's and public checkpoints load. Below output
stride 32 timm dilates at construction, with the convention that the first unit of a dilated stage
keeps the dilation before it (as torchvision). A projection that timm drops where its stride is gone
is put back (`_PROJECTING`), so that the output stride changes no parameter. Patches and poolings
that leave out what is left of a row or a column see padded images (`PaddedPyramid`).
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders.encoder import Encoder
from atrous.errors import InputError
from atrous.ops import Normalization
from atrous.ops.lattice import pad_to_lattice

__all__ = ["PaddedPyramid", "timm_names", "timm_pyramid"]

ODD = (95, 33)
"""Height and width of which a pyramid that rounds sizes up covers all."""

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
    strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
    pyramid = _from_stride_2(name, in_channels, output_stride)
    if _strides(pyramid) not in (strides, strides[1:]):
        raise InputError(
            f"encoder {name} yields strides {_strides(pyramid)}, but a network needs {strides}; "
            "choose a convolutional pyramid such as resnet50"
        )
    channels = tuple(cast("_FeatureInfo", pyramid.feature_info).channels())
    starts_at_4 = len(channels) == 4
    multiple = _multiple(name, output_stride)
    is_whole = multiple == 1 and not starts_at_4
    encoder = cast("Encoder", pyramid if is_whole else PaddedPyramid(pyramid, strides, multiple))
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

    Images get zeros, the mean pixel, at the bottom and the right up to a size that it takes; the
    maps lose what lies beyond the image. A pyramid that begins at stride 4, as ConvNeXt's and
    Swin's do, is completed: its stage of stride 2 is the image averaged over 2x2. The keys of one
    with all stages stay timm's.

    Args:
        pyramid: Yields the last four or five stages.
        strides: Of all five.
        multiple: It takes sizes that are multiples of this.
    """

    def __init__(self, pyramid: nn.Module, strides: tuple[int, ...], multiple: int) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.strides = strides
        self.multiple = multiple
        if len(cast("_FeatureInfo", pyramid.feature_info).channels()) == len(strides):
            for register, hook in (
                (self.register_state_dict_post_hook, _without_prefix),
                (self.register_load_state_dict_pre_hook, _with_prefix),
            ):
                register(hook)  # type: ignore[no-untyped-call]  # torch has no types for it

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (N, C, H, W) to five maps."""
        height, width = images.shape[-2:]
        stages = list(self.pyramid(pad_to_lattice(images, self.multiple, 0)))
        if len(stages) < len(self.strides):
            stages.insert(0, functional.avg_pool2d(images, 2, ceil_mode=True))
        return [
            _cut(stage, -(-height // stride), -(-width // stride))
            for stage, stride in zip(stages, self.strides, strict=True)
        ]


def _cut(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return the upper left part of (N, C, h, w)."""
    if not torch.compiler.is_exporting():
        return x[..., :rows, :columns]
    # A slice that happens to be all of the example's map would hold for no other size.
    for axis, count in ((-2, rows), (-1, columns)):
        x = x.index_select(axis, torch.arange(count, device=x.device))
    return x


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Write the keys of a padded pyramid as timm's."""
    for key in [key for key in state if key.startswith(f"{prefix}pyramid.")]:
        state[prefix + key.removeprefix(f"{prefix}pyramid.")] = state.pop(key)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Read timm's keys into a padded pyramid."""
    own = {key for key, _ in module.named_parameters()} | {key for key, _ in module.named_buffers()}
    for key in own:
        theirs = prefix + key.removeprefix("pyramid.")
        if theirs in state:
            state[prefix + key] = state.pop(theirs)


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


def _from_stride_2(name: str, in_channels: int, output_stride: int) -> nn.Module:
    """Build timm's network without a stage of stride 1: its VGG begins before its first pooling."""
    pyramid = _create(name, in_channels, output_stride)
    if len(_strides(pyramid)) == 6 and _strides(pyramid)[0] == 1:
        pyramid = _create(name, in_channels, output_stride, out_indices=(1, 2, 3, 4, 5))
    return pyramid


@cache
def _multiple(name: str, output_stride: int) -> int:
    """Return the number whose multiples are sizes of which a pyramid's maps cover all; 1: any.

    Raises:
        InputError: There is none.
    """
    with torch.device("meta"):
        pyramid = _from_stride_2(name, 3, output_stride).eval()
        for multiple in (1, output_stride, 64, 128, 224, 256):
            size = ODD if multiple == 1 else (3 * multiple, 2 * multiple)
            try:
                stages = pyramid(torch.empty(1, 3, *size))
            except (AssertionError, RuntimeError, ValueError):  # of a size that it cannot take
                continue
            expected = [tuple(-(-side // stride) for side in size) for stride in _strides(pyramid)]
            if [tuple(stage.shape[-2:]) for stage in stages] == expected:
                return multiple
    raise InputError(
        f"encoder {name} gives no maps of every {output_stride} pixels that cover an image; "
        "choose one such as resnet50"
    )


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
