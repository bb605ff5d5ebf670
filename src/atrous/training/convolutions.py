"""bf16 training on a CPU, around a kernel that computes nonsense.

oneDNN's backward pass of a *dilated depthwise* convolution in bfloat16 returns memory that nobody
wrote (torch 2.15: relative errors of 1e30 at dilations 2 and 6; dilation 1 and dense convolutions
are right). One such gradient poisons Adam's moments for good, mostly without a NaN to be seen.
`tests/training/test_precision.py` reproduces it.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["keep_dilated_depthwise_exact"]


def keep_dilated_depthwise_exact(model: nn.Module) -> None:
    """Let dilated depthwise convolutions compute in float32 under autocast on a CPU.

    Hooks leave autocast around these layers only; on a GPU, and without autocast, nothing changes.
    A second call on the same model adds nothing.

    Args:
        model: Gets the hooks; its parameters and keys stay as they are.
    """
    for module in model.modules():
        if not isinstance(module, nn.Conv2d) or module.groups == 1 or max(module.dilation) == 1:
            continue
        hooks = module._forward_pre_hooks.values()
        if not any(isinstance(getattr(hook, "__self__", None), _Float32) for hook in hooks):
            exact = _Float32()
            module.register_forward_pre_hook(exact.before)
            module.register_forward_hook(exact.after, always_call=True)


class _Float32:
    """Leaves autocast before a layer and goes back behind it."""

    def __init__(self) -> None:
        self.has_left = False

    def before(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Leave autocast; give the layer float32."""
        self.has_left = torch.is_autocast_enabled("cpu") and inputs[0].device.type == "cpu"
        if not self.has_left:
            return None
        torch.set_autocast_enabled("cpu", False)
        return tuple(x.float() for x in inputs)

    def after(self, module: nn.Module, inputs: Any, output: Tensor | None) -> Tensor | None:
        """Go back to autocast, also when the layer failed (`output` is None then)."""
        if not self.has_left:
            return None
        torch.set_autocast_enabled("cpu", True)
        return None if output is None else output.to(torch.get_autocast_dtype("cpu"))
