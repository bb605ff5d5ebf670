"""Where the parallel convolutions of a pyramid take their samples (Chen et al., 2017, Fig. 2)."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atrous.explain.layer_table import Layer

__all__ = ["Pattern", "sampling_patterns"]

_NUMBERED = re.compile(r"(.*?)\.?\b(\d+)\b(.*)")


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

    Args:
        network: Any; without such sisters the list is empty.
        rows: Its layers, for their strides.
    """
    strides = {row.name: row.stride for row in rows if row.stride}
    sisters: dict[tuple[str, str], list[tuple[str, nn.Conv2d]]] = defaultdict(list)
    for name, module in network.named_modules():
        numbered = _NUMBERED.fullmatch(name)
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1 and numbered:
            sisters[numbered[1], numbered[3]].append((name, module))
    families = [
        family
        for family in sisters.values()
        if len(family) > 1 and len({m.dilation for _, m in family}) == len(family)
    ]
    family = max(families, key=lambda family: family[-1][1].dilation, default=[])
    return [
        Pattern(name, module.dilation[0], _offsets(module, strides[name]))
        for name, module in family
        if name in strides
    ]


def _offsets(convolution: nn.Conv2d, stride: float) -> Tensor:
    kernel, rate = convolution.kernel_size[0], convolution.dilation[0]
    taps = (torch.arange(kernel) - (kernel - 1) / 2) * rate * stride
    return torch.cartesian_prod(taps, taps).flip(1)
