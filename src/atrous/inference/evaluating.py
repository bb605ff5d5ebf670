"""A network as it answers, lent for a while: eval mode, no gradients, everything given back."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["evaluating"]


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in eval mode without gradients; give each module its own mode back.

    `no_grad`, not `inference_mode`: a tensor that a module keeps from here must still be usable
    in the training step that follows.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:  # a frozen batch norm stays in eval mode
            module.training = training
