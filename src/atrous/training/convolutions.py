"""Convolutions in training on a CPU, around gradients that are slow there, or nonsense."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from atrous.ops import conv_depthwise, conv_depthwise_pays, conv_dilated, conv_dilated_pays

__all__ = ["own_convolutions"]

UNITS = 16
"""Channels of a group that oneDNN takes at once."""


def own_convolutions(model: nn.Module) -> AbstractContextManager[object]:
    """Let depthwise and dilated convolutions of a network have gradients that are right and fast.

    Within, depthwise ones of 3x3 with a stride or a rate go to `conv_depthwise`, dense ones that
    `conv_dilated` makes faster there. What is left computes in float32 under autocast where
    oneDNN's gradients in bf16 (torch 2.15) are slow (depthwise of 5x5 and more) or may be memory
    that nobody wrote: dilated ones whose groups have no multiple of 16 channels. With AMX only
    depthwise ones of these go wrong, without it all.

    On a GPU, and for a network that has none of them, nothing changes. Layers that are called again
    during the backward pass (reentrant gradient checkpointing) are outside by then.
    """
    is_here = any(parameter.device.type == "cpu" for parameter in model.parameters())
    has_any = is_here and any(_is_concerned(module) for module in model.modules())
    return _OwnConvolutions() if has_any else nullcontext()


class _OwnConvolutions(TorchFunctionMode):
    """Sees every call of torch's functions, so also those of layers that pad by themselves."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Take `conv2d`; leave the rest."""
        call = _conv2d if function is torch.conv2d else function
        return call(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Be `torch.nn.functional.conv2d`, whose arguments these are."""
    given: tuple[Any, ...] = input, weight, bias, stride, padding, dilation, groups
    is_mixed = torch.is_autocast_enabled("cpu") and input.dtype != torch.float64
    is_plain = input.device.type != "cpu" or input.ndim != 4
    if is_plain or not (is_mixed or input.dtype == weight.dtype):
        return functional.conv2d(*given)
    x = input.to(torch.get_autocast_dtype("cpu")) if is_mixed else input
    strides, dilations = _pair(stride), _pair(dilation)
    if not isinstance(padding, str):
        paddings = _pair(padding)
        y = None
        if conv_depthwise_pays(x, weight, strides, dilations, groups):
            y = conv_depthwise(x, weight, strides, paddings, dilations)
        elif conv_dilated_pays(x, weight, strides, paddings, dilations, groups):
            y = conv_dilated(x, weight.to(x.dtype), paddings, dilations)
        if y is not None:
            return y if bias is None else y + bias.to(y.dtype)[:, None, None]
    is_depthwise = 1 < groups == x.shape[1]
    is_slow = is_depthwise and (max(weight.shape[2:]) > 3 or max(strides) > 1)
    is_wrong = max(dilations) > 1 and weight.shape[1] % UNITS > 0
    if is_mixed and (is_slow or is_wrong):
        with torch.autocast("cpu", enabled=False):
            return functional.conv2d(x.float(), *given[1:]).to(x.dtype)
    return functional.conv2d(*given)


def _pair(number: int | Sequence[int]) -> tuple[int, int]:
    """Return a number for each axis."""
    return (number[0], number[-1]) if isinstance(number, Sequence) else (number, number)


def _is_concerned(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and (module.groups > 1 or max(module.dilation) > 1)
