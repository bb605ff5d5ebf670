"""Where the parallel convolutions of a pyramid take their samples (Chen et al., 2017, Fig. 2)."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atrous.explain.layer_table import Layer

__all__ = ["Pattern", "sampling_patterns"]


@dataclass(frozen=True)
class Pattern:
    """One branch of a pyramid.

    Attributes:
        name: Of its convolution.
        rate: Its dilation.
        offsets: (k * k, 2) positions (x, y) of its taps around the centre, in pixels of the image.
    """

    name: str
    rate: int
    offsets: Tensor


def sampling_patterns(network: nn.Module, rows: Sequence[Layer]) -> list[Pattern]:
    """Return the branches of the network's pyramid: sisters that differ in nothing but the rate.

    They read one map, and their names differ in a number only, as those of a `ModuleList` do.
    Where the network runs on several scales of the image the first one counts.

    Args:
        network: Any; without such convolutions the list is empty.
        rows: Its layers, for their strides and for what they read.
    """
    modules = dict(network.named_modules())
    first = {row.name: row for row in reversed(rows)}
    sisters: dict[tuple[int, str], list[tuple[Layer, nn.Conv2d]]] = defaultdict(list)
    for name, module in modules.items():
        row = first.get(name)
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1 and row and row.reads:
            sisters[row.reads, re.sub(r"\b\d+\b", "#", name)].append((row, module))
    pyramids = [branches for branches in sisters.values() if _differ_in_rate(branches)]
    widest = max(pyramids, key=lambda branches: branches[-1][1].dilation, default=[])
    return [
        Pattern(row.name, module.dilation[0], _offsets(module, row.stride))
        for row, module in widest
        if row.stride
    ]


def _differ_in_rate(branches: Sequence[tuple[Layer, nn.Conv2d]]) -> bool:
    rates = {module.dilation for _, module in branches}
    return len(rates) == len(branches) > 1


def _offsets(convolution: nn.Conv2d, stride: float) -> Tensor:
    kernel, rate = convolution.kernel_size[0], convolution.dilation[0]
    taps = (torch.arange(kernel) - (kernel - 1) / 2) * rate * stride
    return torch.cartesian_prod(taps, taps).flip(1)
