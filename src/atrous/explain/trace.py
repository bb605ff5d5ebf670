"""One run of a network, listened to: every operation with its shape, stride, field, FLOPs, time.

The run may be on the meta device, where nothing is computed. Operations are caught below autograd
(`TorchDispatchMode`), so it does not matter how a network is written: modules, functions, loops.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from atrous.explain.receptive_field import Span, joined

__all__ = ["Operation", "Spans", "listen"]

Spans = tuple[Span, Span]
"""Of the vertical and of the horizontal axis."""


@dataclass(frozen=True)
class Operation:
    """One operation on maps, as it ran.

    Attributes:
        owner: Dotted name of the innermost module that ran it, "" for the network itself.
        kind: The operation's name in torch's library: "convolution", "cat", ...
        shape: Of its result.
        spans: What a position of its result sees; None if it does not come from the image.
        flops: Two per multiplication and addition.
        seconds: Wall clock; 0 on the meta device.
    """

    owner: str
    kind: str
    shape: tuple[int, ...]
    spans: Spans | None
    flops: int
    seconds: float


def listen(network: nn.Module, images: Tensor) -> list[Operation]:
    """Run `network` on images (N, C, H, W) without gradients and return what it did, in order.

    Args:
        network: In train or eval mode; on the images' device.
        images: Any size that it accepts; on "meta" nothing is computed and nothing timed.
    """
    ear = _Ear(images)
    with torch.no_grad(), _owners(network, ear), ear:
        network(images)
    return ear.operations


class _Ear(TorchDispatchMode):
    """Keeps the span of every map that came from the image."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.owner: list[str] = [""]
        self.device = images.device
        self.spans = WeakTensorKeyDictionary()
        self.spans[images] = (Span(), Span())

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
        sources = [(t, self.spans[t]) for t in _tensors((args, kwargs)) if t in self.spans]
        maps = [out for out in _tensors(result) if out.ndim >= 2]
        spans = (
            _spans_of(packet._qualified_op_name, sources, args, maps[0])
            if sources and maps
            else None
        )
        for out in maps if spans else ():
            self.spans[out] = spans
        shape = tuple(maps[0].shape) if maps else ()
        kind = packet.__name__.strip("_")
        self.operations.append(Operation(self.owner[-1], kind, shape, spans, flops, seconds))
        return result


@contextmanager
def _owners(network: nn.Module, ear: _Ear) -> Iterator[None]:
    """Tell the ear which module is running."""
    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: ear.owner.append(name)))
        hooks.append(module.register_forward_hook(lambda *_: _pop(ear.owner)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pop(names: list[str]) -> None:
    names.pop()


def _tensors(tree: object) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _spans_of(
    operator: str, sources: list[tuple[Tensor, Spans]], args: tuple[Any, ...], out: Tensor
) -> Spans | None:
    """Return what a position of the result sees."""
    tensor, spans = sources[0]
    rule = _RULES.get(operator)
    if rule is not None:
        return rule(spans, tensor, args, out)
    maps = [given for source, given in sources if source.shape[-2:] == out.shape[-2:]]
    if not maps:
        maps = [given for _, given in sources]  # reshaped, or spread from one position
    heights, widths = zip(*maps, strict=True)
    height, width = out.shape[-2:]
    return joined(heights, height), joined(widths, width)


def _convolution(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    kernel = args[1].shape[-2:]
    stride, padding, dilation, transposed = args[3:7]
    if transposed:
        first, second = (
            span.transposed_window(kernel[axis], stride=stride[axis], padding=padding[axis])
            for axis, span in enumerate(spans)
        )
        return first, second
    first, second = (
        span.window(
            kernel[axis], stride=stride[axis], padding=padding[axis], dilation=dilation[axis]
        )
        for axis, span in enumerate(spans)
    )
    return first, second


def _pooling(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = _pair(args[3]) if len(args) > 3 else (0, 0)
    first, second = (
        span.window(kernel[axis], stride=stride[axis], padding=padding[axis])
        for axis, span in enumerate(spans)
    )
    return first, second


def _adaptive_pooling(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Bins: each sees a share of the map; one bin sees all of it."""
    first, second = (
        span.whole() if bins == 1 else span.window(-(-length // bins), stride=length // bins or 1)
        for span, length, bins in zip(spans, tensor.shape[-2:], out.shape[-2:], strict=True)
    )
    return first, second


def _mean(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    axes = {axis % tensor.ndim for axis in (args[1] or range(tensor.ndim))}
    height, width = spans
    if tensor.ndim - 2 in axes:
        height = height.whole()
    if tensor.ndim - 1 in axes:
        width = width.whole()
    return height, width


def _resizing(*, linear: bool) -> Callable[..., Spans]:
    def rule(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
        corners = linear and bool(args[2])
        first, second = (
            span.resized(before, after, linear=linear, align_corners=corners)
            for span, before, after in zip(spans, tensor.shape[-2:], out.shape[-2:], strict=True)
        )
        return first, second

    return rule


def _slice(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    axis = args[1] % tensor.ndim if len(args) > 1 else 0
    begin = (args[2] if len(args) > 2 else None) or 0
    begin = begin + tensor.shape[axis] if begin < 0 else begin
    step = args[4] if len(args) > 4 else 1
    height, width = spans
    if axis == tensor.ndim - 2:
        height = height.moved(begin).window(1, stride=step)
    if axis == tensor.ndim - 1:
        width = width.moved(begin).window(1, stride=step)
    return height, width


def _padding(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    left, _, top, _ = (*args[1], 0, 0)[:4]
    return spans[0].moved(-top), spans[1].moved(-left)


def _selection(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Chosen rows or columns, as a mirrored frame has them: the map begins where 0, 1 stand.

    On the meta device the indices are unknown; the map is then taken to lie in the middle.
    """
    axis, index = args[1] % tensor.ndim, args[2]
    if axis < tensor.ndim - 2:
        return spans
    begin = (len(index) - tensor.shape[axis]) // 2
    if not index.is_meta:
        steps = ((index[:-1] == 0) & (index[1:] == 1)).nonzero()
        begin = int(steps[0]) if len(steps) else 0
    height, width = spans
    if axis == tensor.ndim - 2:
        return height.moved(-begin), width
    return height, width.moved(-begin)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _pooling_by_two(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    first, second = (span.window(2, stride=2) for span in spans)
    return first, second


def _unpooling(spans: Spans, tensor: Tensor, args: tuple[Any, ...], out: Tensor) -> Spans:
    first, second = (span.transposed_window(2, stride=2) for span in spans)
    return first, second


_RULES: dict[str, Callable[..., Spans]] = {
    "aten::convolution": _convolution,
    "aten::max_pool2d_with_indices": _pooling,
    "aten::avg_pool2d": _pooling,
    "aten::_adaptive_avg_pool2d": _adaptive_pooling,
    "aten::adaptive_max_pool2d": _adaptive_pooling,
    "aten::mean": _mean,
    "aten::upsample_bilinear2d": _resizing(linear=True),
    "aten::upsample_nearest2d": _resizing(linear=False),
    "aten::index_select": _selection,
    "aten::slice": _slice,
    "aten::constant_pad_nd": _padding,
    "aten::reflection_pad2d": _padding,
    "aten::replication_pad2d": _padding,
    "atrous::max_pool_2bit": _pooling_by_two,
    "atrous::max_unpool_2bit": _unpooling,
}
"""What changes the geometry; everything else works position by position."""
