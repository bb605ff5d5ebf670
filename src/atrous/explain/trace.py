"""One run of a network, listened to: every operation with its shape, stride, field, FLOPs, time.

The run may be on the meta device, where nothing is computed. Operations are caught below autograd
(`TorchDispatchMode`), so it does not matter how a network is written: modules, functions, loops.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from atrous.explain.geometry import Spans, spans_of
from atrous.explain.receptive_field import Span

__all__ = ["Operation", "listen"]


@dataclass(frozen=True)
class Operation:
    """One operation on maps, as it ran.

    Attributes:
        owner: Dotted name of the innermost module that ran it, "" for the network itself.
        kind: The operation's name in torch's library: "convolution", "cat", ...
        shape: Of its result.
        spans: What a position of its result sees; None if it does not come from the image.
        reads: Number of the first map that it reads, in the order in which they were made (the
            image is 0); None if that does not come from the image.
        enlarged: Whether a map behind the image was upsampled on the way.
        flops: Two per multiplication and addition.
        seconds: Wall clock; 0 on the meta device.
    """

    owner: str
    kind: str
    shape: tuple[int, ...]
    spans: Spans | None
    reads: int | None
    enlarged: bool
    flops: int
    seconds: float


def listen(
    network: nn.Module, images: Tensor, *, cells: Mapping[str, float] | None = None
) -> list[Operation]:
    """Run `network` on images (N, C, H, W) without gradients and return what it did, in order.

    Args:
        network: In train or eval mode; on the images' device, or anywhere if that is "meta".
        images: Any size that it accepts; on "meta" nothing is computed and nothing timed.
        cells: Modules whose result begins anew, and the width of its cells in pixels: from there
            on fields count what lies between, not what the layers before see (`Span.cell`).
    """
    ear, values = _Ear(images), _without_values(network) if images.is_meta else {}
    with torch.no_grad(), _owners(network, ear, cells or {}), ear:
        functional_call(network, values, (images,))
    return ear.operations


def _without_values(network: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers of the same shapes on the meta device."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {name: tensor.to("meta") for name, tensor in tensors if not tensor.is_meta}


@dataclass(frozen=True)
class _Map:
    spans: Spans
    number: int
    enlarged: bool = False


class _Ear(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Keeps the span of every map that came from the image."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.operations: list[Operation] = []
        self.owner: list[str] = [""]
        self.device = images.device
        self.maps = WeakTensorKeyDictionary()
        self.maps[images] = _Map((Span(), Span()), 0)
        self.made = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        begin = time.perf_counter()
        result = func(*args, **kwargs)
        seconds = 0.0 if self.device.type == "meta" else time.perf_counter() - begin
        packet = func.overloadpacket
        count = flop_registry.get(packet)
        flops = int(count(*args, **kwargs, out_val=result)) if count else 0
        outs = [out for out in _tensors(result) if out.ndim >= 2]
        sources = [(t, self.maps[t]) for t in _tensors((args, kwargs)) if t in self.maps]
        made = self._made(packet._qualified_op_name, sources, args, outs)
        self.operations.append(
            Operation(
                owner=self.owner[-1],
                kind=packet.__name__.strip("_"),
                shape=tuple(outs[0].shape) if outs else (),
                spans=made.spans if made else None,
                reads=sources[0][1].number if sources else None,
                enlarged=made.enlarged if made else False,
                flops=flops,
                seconds=seconds,
            )
        )
        return result

    def begin_anew(self, out: object, width: float) -> None:
        """Let the positions of a map count as cells of `width` pixels."""
        if isinstance(out, Tensor) and out in self.maps:
            height_width = self.maps[out].spans
            first, second = (span.cell(width) for span in height_width)
            self.maps[out] = replace(self.maps[out], spans=(first, second))

    def _made(
        self,
        operator: str,
        sources: list[tuple[Tensor, _Map]],
        args: tuple[Any, ...],
        outs: list[Tensor],
    ) -> _Map | None:
        """Remember what the results see; None if they do not come from the image."""
        if not sources or not outs:
            return None
        spans = spans_of(
            operator, [(tensor, read.spans) for tensor, read in sources], args, outs[0]
        )
        before = max(read.spans[0].stride for _, read in sources)
        enlarged = any(read.enlarged for _, read in sources) or 1 < before > spans[0].stride
        self.made += 1
        made = _Map(spans, self.made, enlarged)
        for out in outs:
            in_place = any(out is tensor for tensor, _ in sources)
            number = self.maps[out].number if in_place else made.number
            self.maps[out] = replace(made, number=number)
        return made


@contextmanager
def _owners(network: nn.Module, ear: _Ear, cells: Mapping[str, float]) -> Iterator[None]:
    """Tell the ear which module is running."""

    def leave(name: str, out: object) -> None:
        ear.owner.pop()
        if name in cells:
            ear.begin_anew(out, cells[name])

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: ear.owner.append(name)))
        hooks.append(
            module.register_forward_hook(lambda *called, name=name: leave(name, called[-1]))
        )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(tree: object) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
