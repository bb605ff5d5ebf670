"""What each operation of torch does to the span of the maps that it reads (FCN, Sec. 3).

Operations that are not named here work position by position: they see what their inputs see.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from atrous.explain.receptive_field import Span, joined

__all__ = ["Sources", "Spans", "spans_of"]

Spans = tuple[Span, Span]
"""Of the vertical and of the horizontal axis."""

Sources = Sequence[tuple[Tensor, Spans]]
"""The maps that an operation reads, those that come from the image, and what they see."""

Rule = Callable[[Sources, tuple[Any, ...], Tensor], Spans]
"""From what it reads, its arguments and its result to what a position of the result sees."""


def spans_of(operator: str, sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Return what a position of the result sees.

    Args:
        operator: Its full name in torch's library, "aten::convolution".
        sources: At least one map.
        args: What it was called with.
        out: (..., h, w) its result.
    """
    rule: Rule = _RULES.get(operator, _position_by_position)
    return rule(sources, args, out)


def _position_by_position(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Join what all inputs see; reshaped maps, or spread from one position, keep their spans."""
    maps = [given for source, given in sources if source.shape[-2:] == out.shape[-2:]]
    heights, widths = zip(*(maps or [given for _, given in sources]), strict=True)
    return joined(heights, out.shape[-2]), joined(widths, out.shape[-1])


def _convolution(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    kernel = args[1].shape[-2:]
    stride, padding, dilation, transposed = args[3:7]
    if transposed:
        first, second = (
            span.transposed_window(kernel[axis], stride=stride[axis], padding=padding[axis])
            for axis, span in enumerate(sources[0][1])
        )
        return first, second
    return _windows(sources, kernel, stride, padding, dilation)


def _max_pooling(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    dilation = _pair(args[4]) if len(args) > 4 else (1, 1)
    return _windows(sources, *_pooling(args), dilation)


def _mean_pooling(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    return _windows(sources, *_pooling(args), (1, 1))  # its args[4] is another thing: ceil_mode


def _pooling(args: tuple[Any, ...]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return kernel, stride and padding."""
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    return kernel, stride, _pair(args[3]) if len(args) > 3 else (0, 0)


def _pooling_by_two(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    return _windows(sources, (2, 2), (2, 2), (0, 0), (1, 1))


def _windows(
    sources: Sources,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Spans:
    first, second = (
        span.window(
            kernel[axis], stride=stride[axis], padding=padding[axis], dilation=dilation[axis]
        )
        for axis, span in enumerate(sources[0][1])
    )
    return first, second


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _unpooling_by_two(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    first, second = (span.transposed_window(2, stride=2) for span in sources[0][1])
    return first, second


def _bins(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    ((tensor, spans),) = sources
    first, second = (
        span.binned(length, bins)
        for span, length, bins in zip(spans, tensor.shape[-2:], out.shape[-2:], strict=True)
    )
    return first, second


def _mean(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    tensor, (height, width) = sources[0]
    axes = {axis % tensor.ndim for axis in (args[1] or range(tensor.ndim))}
    if tensor.ndim - 2 in axes:
        height = height.whole(tensor.shape[-2])
    if tensor.ndim - 1 in axes:
        width = width.whole(tensor.shape[-1])
    return height, width


def _spreading(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Repeat the one position of an axis; other axes stay."""
    tensor, spans = sources[0]
    first, second = (
        replace(span, stride=span.stride * before / after)
        for span, before, after in zip(spans, tensor.shape[-2:], out.shape[-2:], strict=True)
    )
    return first, second


def _resizing(*, linear: bool) -> Rule:
    def rule(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
        tensor, spans = sources[0]
        corners = linear and bool(args[2])
        first, second = (
            span.resized(before, after, linear=linear, align_corners=corners)
            for span, before, after in zip(spans, tensor.shape[-2:], out.shape[-2:], strict=True)
        )
        return first, second

    return rule


def _slice(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    tensor, (height, width) = sources[0]
    axis = args[1] % tensor.ndim if len(args) > 1 else 0
    begin = (args[2] if len(args) > 2 else None) or 0
    begin = begin + tensor.shape[axis] if begin < 0 else begin
    step = args[4] if len(args) > 4 else 1
    if axis == tensor.ndim - 2:
        height = height.moved(begin).window(1, stride=step)
    if axis == tensor.ndim - 1:
        width = width.moved(begin).window(1, stride=step)
    return height, width


def _concatenation(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Join channels; along an axis of the image keep the part that covers the middle.

    A border that is repeated by concatenation stands beside its map, not over it.
    """
    parts, axis = args[0], args[1] % out.ndim if len(args) > 1 else 0
    if axis < out.ndim - 2:
        return _position_by_position(sources, args, out)
    begin, middle = 0, out.shape[axis] // 2
    for part in parts:
        if begin + part.shape[axis] > middle:
            break
        begin += part.shape[axis]
    given = [spans for source, spans in sources if source is part]
    if not given:  # the middle does not come from the image
        return _position_by_position(sources, args, out)
    others = [spans[out.ndim - 1 - axis] for _, spans in sources]
    across = joined(others, out.shape[-1 if axis == out.ndim - 2 else -2])
    along = given[0][axis - out.ndim + 2].moved(-begin)
    return (along, across) if axis == out.ndim - 2 else (across, along)


def _padding(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    height, width = sources[0][1]
    left, _, top, _ = (*args[1], 0, 0)[:4]
    return height.moved(-top), width.moved(-left)


def _selection(sources: Sources, args: tuple[Any, ...], out: Tensor) -> Spans:
    """Chosen rows or columns, as a mirrored frame has them: the map begins where 0, 1 stand.

    On the meta device the indices are unknown; the map is then taken to lie in the middle.
    """
    tensor, (height, width) = sources[0]
    axis, index = args[1] % tensor.ndim, args[2]
    if axis < tensor.ndim - 2:
        return height, width
    begin = (len(index) - tensor.shape[axis]) // 2
    if not index.is_meta:
        steps = ((index[:-1] == 0) & (index[1:] == 1)).nonzero()
        begin = int(steps[0]) if len(steps) else 0
    if axis == tensor.ndim - 2:
        return height.moved(-begin), width
    return height, width.moved(-begin)


_RULES: dict[str, Rule] = {
    "aten::convolution": _convolution,
    "aten::max_pool2d_with_indices": _max_pooling,
    "aten::avg_pool2d": _mean_pooling,
    "aten::_adaptive_avg_pool2d": _bins,
    "aten::adaptive_max_pool2d": _bins,
    "aten::mean": _mean,
    "aten::expand": _spreading,
    "aten::upsample_bilinear2d": _resizing(linear=True),
    "aten::upsample_nearest2d": _resizing(linear=False),
    "aten::index_select": _selection,
    "aten::slice": _slice,
    "aten::cat": _concatenation,
    "aten::constant_pad_nd": _padding,
    "aten::reflection_pad2d": _padding,
    "aten::replication_pad2d": _padding,
    "atrous::max_pool_2bit": _pooling_by_two,
    "atrous::max_unpool_2bit": _unpooling_by_two,
}
"""What changes the geometry."""
