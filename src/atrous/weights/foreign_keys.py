"""The names that other libraries give to the tensors of the same encoder, turned into ours."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

__all__ = ["translated"]

WRAPPERS = ("module.", "_orig_mod.", "network.encoder.", "encoder.", "backbone.")
"""Prefixes left by data parallelism, torch.compile, and networks around encoders."""

_ENDS = {
    "conv_stem.": "features.0.0.",
    "bn1.": "features.0.1.",
    "conv_head.": "features.18.0.",
    "bn2.": "features.18.1.",
}
# timm's MobileNetV2 blocks -> torchvision's: the first has no expansion.
_FIRST = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
_OTHERS = {
    "conv_pw": "0.0",
    "bn1": "0.1",
    "conv_dw": "1.0",
    "bn2": "1.1",
    "conv_pwl": "2",
    "bn3": "3",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(\w+)")


def translated(given: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Rename the tensors of a file to what an encoder calls them; unknown names stay.

    Args:
        given: From a file: torchvision's or timm's names, perhaps inside a whole network or a
            wrapper, of which only the encoder is kept.
        wanted: The encoder's own names.
    """
    wanted = list(wanted)
    given = _unwrapped(given, wanted)
    if "conv_stem.weight" in given and "features.0.0.weight" in wanted:
        given = _as_torchvision(given)
    # timm's pyramids write stages_0.blocks where its classifiers write stages.0.blocks
    own = {_squeezed(name): name for name in wanted}
    return {own.get(_squeezed(name), name): tensor for name, tensor in given.items()}


def _unwrapped(given: Mapping[str, Tensor], wanted: Iterable[str]) -> Mapping[str, Tensor]:
    for prefix in WRAPPERS:
        inner = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
        if inner and not any(key.startswith(prefix) for key in wanted):
            given = inner
    return given


def _squeezed(name: str) -> str:
    return name.removeprefix("pyramid.").replace(".", "_")


def _as_torchvision(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename timm's MobileNetV2; its stages, counted through, are torchvision's features."""
    blocks = sorted({(int(m[1]), int(m[2])) for m in map(_BLOCK.fullmatch, given) if m})
    number = {block: index for index, block in enumerate(blocks, start=1)}
    renamed = {}
    for name, tensor in given.items():
        stem = name
        for theirs, ours in _ENDS.items():
            if name.startswith(theirs):
                stem = name.replace(theirs, ours)
        match = _BLOCK.fullmatch(name)
        if match:
            index = number[int(match[1]), int(match[2])]
            layer = (_FIRST if index == 1 else _OTHERS).get(match[3], match[3])
            stem = f"features.{index}.conv.{layer}.{match[4]}"
        renamed[stem] = tensor
    return renamed
