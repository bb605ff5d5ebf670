"""Convolutions in training on a CPU, around gradients that are slow there, or nonsense."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from atrous.ops import conv_depthwise, conv_depthwise_pays, conv_dilated, conv_dilated_pays

__all__ = ["own_convolutions"]


def own_convolutions(model: nn.Module) -> AbstractContextManager[object]:
    """Let depthwise and dilated convolutions of a network have gradients that are right and fast.

    Within, depthwise ones of 3x3 with a stride or a rate go to `conv_depthwise`, dense ones of
    large rates to `conv_dilated`. Depthwise ones of other sizes compute in float32 under autocast,
    which is right at any rate, and three to ten times faster (torch 2.15: 5x5, 7x7). On a GPU, and
    for a network that has none of them, nothing changes.
    """
    has_any = any(_is_concerned(module) for module in model.modules())
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
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Be `torch.nn.functional.conv2d`, whose arguments these are."""
    given = input, weight, bias, stride, padding, dilation, groups
    if input.device.type != "cpu" or input.ndim != 4:
        return functional.conv2d(*given)  # type: ignore[arg-type]  # padding is one or the other
    is_mixed = torch.is_autocast_enabled("cpu")
    x = input.to(torch.get_autocast_dtype("cpu")) if is_mixed else input
    strides, dilations = _pair(stride), _pair(dilation)
    shape = x, weight, strides, dilations, groups
    if not isinstance(padding, str) and (conv_depthwise_pays(*shape) or conv_dilated_pays(*shape)):
        if groups == 1:
            y = conv_dilated(x, weight.to(x.dtype), _pair(padding), dilations)
        else:
            y = conv_depthwise(x, weight, strides, _pair(padding), dilations)
        return y if bias is None else y + bias.to(y.dtype)[:, None, None]
    is_small = max(weight.shape[2:]) <= 3 and max(*strides, *dilations) == 1
    if is_mixed and 1 < groups == x.shape[1] and not is_small:
        with torch.autocast("cpu", enabled=False):
            return functional.conv2d(x.float(), *given[1:]).to(x.dtype)  # type: ignore[arg-type]
    return functional.conv2d(*given)  # type: ignore[arg-type]


def _pair(number: int | tuple[int, int]) -> tuple[int, int]:
    """Return a number for each axis."""
    return (number, number) if isinstance(number, int) else (number[0], number[-1])


def _is_concerned(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and (module.groups > 1 or max(module.dilation) > 1)
