"""Networks without memory: shapes and names of every tensor, in milliseconds."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from atrous.models import ModelSpec, build_model

__all__ = ["blueprint", "count_parameters", "gives_auxiliary_scores"]

PROBE = (256, 256)
"""An image that the deepest of the networks can halve as often as it wants to."""


@contextlib.contextmanager
def blueprint() -> Iterator[None]:
    """Build what is built inside on the meta device, and leave out drawing the weights.

    A network of any size costs no memory there, so that one described by somebody else's file
    can be compared with that file first. Drawing random weights on the meta device means nothing
    and would import torch's 900 modules of shape rules (1.5 s).
    """
    with torch.device("meta"), _NothingToFill():
        yield


def count_parameters(network: object) -> int:
    """Return the number of learnable or fixed weights; running statistics do not count."""
    assert isinstance(network, nn.Module)
    return sum(parameter.numel() for parameter in network.parameters())


def gives_auxiliary_scores(spec: ModelSpec) -> bool:
    """Return whether the network is trained with auxiliary losses: its shapes, run once, tell."""
    with blueprint():
        network = build_model(
            spec.architecture,
            encoder_name=spec.encoder_name,
            in_channels=spec.in_channels,
            classes=spec.classes,
            options=spec.options,
        )
    with torch.no_grad():
        images = torch.empty(2, spec.in_channels, *PROBE, device="meta")
        return bool(network.train().score(images).auxiliary)


class _NothingToFill(TorchFunctionMode):
    """Skips `normal_`, `fill_`, `nn.init.kaiming_normal_` ... on meta tensors."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Return the tensor that `func` would have filled, else what `func` returns."""
        name = getattr(func, "__name__", "")
        in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        filled = args[0] if args else (kwargs or {}).get("tensor")
        if in_place and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        return func(*args, **(kwargs or {}))
