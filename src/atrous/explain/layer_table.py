"""The layer table: what each layer makes, how far it sees, what it holds and costs."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from atrous.explain.trace import Operation, listen

__all__ = ["Layer", "fields", "grouped", "layers"]

KINDS = {
    "adaptive_avg_pool2d": "mean of bins",
    "adaptive_max_pool2d": "max of bins",
    "add": "sum",
    "addmm": "linear",
    "avg_pool2d": "mean pool",
    "cat": "concatenate",
    "convolution": "conv",
    "max_pool2d_with_indices": "max pool",
    "max_pool_2bit": "max pool",
    "max_unpool2d": "unpool",
    "max_unpool_2bit": "unpool",
    "maximum": "maximum",
    "mean": "mean of all",
    "mm": "linear",
    "mul": "product",
    "upsample_bilinear2d": "bilinear",
    "upsample_nearest2d": "nearest",
}
"""Operations that get a row. The others (norms, ReLU, views) go with the row before them."""

QUICK_SECONDS = 1.0
"""A run that is shorter is repeated, for it may be disturbed: the median of three counts."""


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Attributes:
        name: Dotted name of the module, "" for the network itself.
        kind: What it does: "conv 3x3 rate 2", "max pool", "sum", ...
        shape: (C, h, w) of its result.
        stride: Pixels of the image per position, vertically; None without geometry.
        receptive_field: Pixels of the image that a position sees, vertically, not cut at the
            border; infinite where it sees all of the image, None without geometry. Behind an
            upsampling the mean over the positions.
        reads: Number of the map that it reads; layers side by side read the same one.
        enlarged: Whether a map was upsampled on the way to it.
        parameters: Held by it and by what goes with it; counted once where it runs again.
        flops: Two per multiplication and addition, for one image.
        seconds: Wall clock of one image; 0 where it was not run.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    stride: float | None
    receptive_field: float | None
    reads: int | None
    enlarged: bool
    parameters: int
    flops: int
    seconds: float


def layers(
    network: nn.Module,
    images: Tensor,
    *,
    cells: Mapping[str, float] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Layer]:
    """Run a network and return its layers in the order in which they ran.

    Args:
        network: In the mode that it is in; on the images' device, or anywhere if that is "meta".
        images: (1, C, H, W). On "meta" nothing is computed and no time taken; else one run warms
            up and one is timed, or three where a run takes less than a second.
        cells: Modules from whose results on fields are counted anew; see `listen`.
        progress: Told what begins: the run that warms up, those that are timed.

    Returns:
        Rows in the order in which they ran; what only training runs comes last, in one row.
    """
    if images.is_meta:
        return _rows(network, listen(network, images, cells=cells))
    say = progress or (lambda _: None)
    say("warming up")
    with torch.no_grad():
        network(images)
    say("timing")
    runs = [listen(network, images, cells=cells)]
    if sum(operation.seconds for operation in runs[0]) < QUICK_SECONDS:
        runs += [listen(network, images, cells=cells) for _ in range(2)]
    timed = [
        replace(same[0], seconds=statistics.median(operation.seconds for operation in same))
        for same in zip(*runs, strict=True)
    ]
    return _rows(network, timed)


def fields(rows: Iterable[Layer]) -> tuple[float, float]:
    """Return the widest finite receptive field before any upsampling, and that of all rows.

    The first is what papers print; behind it interpolation mixes neighbours.
    """
    seen = [r for r in rows if r.receptive_field and not math.isinf(r.receptive_field)]
    before = max((r.receptive_field or 1.0 for r in seen if not r.enlarged), default=1.0)
    return before, max((r.receptive_field or 1.0 for r in seen), default=1.0)


def grouped(rows: Sequence[Layer], depth: int) -> list[Layer]:
    """Join neighbouring rows whose names begin with the same `depth` parts.

    Args:
        rows: From `layers`.
        depth: 1 joins "encoder.layer1.0.conv1" and "encoder.layer4.2.conv3" to "encoder".
    """
    groups: list[Layer] = []
    for row in rows:
        name = ".".join(row.name.split(".")[:depth])
        if not groups or groups[-1].name != name or not name:
            groups.append(replace(row, name=name))
            continue
        last = groups[-1]
        groups[-1] = replace(
            row,
            name=name,
            kind="",
            parameters=last.parameters + row.parameters,
            flops=last.flops + row.flops,
            seconds=last.seconds + row.seconds,
        )
    return groups


def _rows(network: nn.Module, operations: Sequence[Operation]) -> list[Layer]:
    modules, counted = dict(network.named_modules()), set[int]()
    rows = [Layer("", "not run here", (), None, None, None, False, 0, 0, 0.0)]
    for operation in operations:
        module = modules[operation.owner]
        if _has_row(operation, module):
            rows.append(_row(operation, module, rows[-1].shape[1:]))
        rows[-1] = replace(
            rows[-1],
            parameters=rows[-1].parameters + _count(module, counted),
            flops=rows[-1].flops + operation.flops,
            seconds=rows[-1].seconds + operation.seconds,
        )
    first, *rows = rows  # what ran before the first row goes with it
    if rows:
        rows[0] = replace(
            rows[0],
            parameters=rows[0].parameters + first.parameters,
            flops=rows[0].flops + first.flops,
            seconds=rows[0].seconds + first.seconds,
        )
    idle = sum(_count(module, counted) for module in modules.values())
    if idle:
        rows.append(replace(first, parameters=idle, flops=0, seconds=0.0))
    return rows


def _has_row(operation: Operation, module: nn.Module) -> bool:
    """Whether it makes a map; other products of matrices (`trim`) go with the row before."""
    if isinstance(module, nn.Linear):
        is_map = KINDS.get(operation.kind) == "linear"  # not its bias
    else:
        is_map = len(operation.shape) == 4
    return operation.kind in KINDS and operation.spans is not None and is_map


def _row(operation: Operation, module: nn.Module, size: tuple[int, ...]) -> Layer:
    height = operation.spans[0] if operation.spans else None
    return Layer(
        name=operation.owner,
        kind=_kind(operation, module),
        shape=_shape(operation.shape, size),
        stride=height.stride if height else None,
        receptive_field=height.size if height else None,
        reads=operation.reads,
        enlarged=operation.enlarged,
        parameters=0,
        flops=0,
        seconds=0.0,
    )


def _shape(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    """Return (C, h, w); the (positions, C) of a linear layer lie on the map before, or are one."""
    if len(shape) == 4:
        return shape[1:]
    channels = shape[-1]
    return (channels, *size) if math.prod(shape[:-1]) == math.prod(size) else (channels, 1, 1)


def _kind(operation: Operation, module: nn.Module) -> str:
    if isinstance(module, nn.ConvTranspose2d):
        return f"deconv {_by(module.kernel_size)} x{module.stride[0]}"
    if isinstance(module, nn.Conv2d):
        name = "depthwise" if module.groups == module.in_channels > 1 else "conv"
        words = [name, _by(module.kernel_size)]
        words += [f"/{module.stride[0]}"] if module.stride[0] > 1 else []
        words += [f"rate {module.dilation[0]}"] if module.dilation[0] > 1 else []
        return " ".join(words)
    return KINDS.get(operation.kind, operation.kind)


def _by(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


def _count(module: nn.Module, counted: set[int]) -> int:
    """Count the module's own parameters that no row has yet."""
    new = [p for p in module.parameters(recurse=False) if id(p) not in counted]
    counted.update(map(id, new))
    return sum(p.numel() for p in new if not torch.nn.parameter.is_lazy(p))
