"""The layer table: what each layer makes, how far it sees, what it holds and costs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from atrous.explain.trace import Operation, listen

__all__ = ["Layer", "grouped", "layers"]

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

RUNS = 3


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Attributes:
        name: Dotted name of the module, "" for the network itself.
        kind: What it does: "conv 3x3 rate 2", "max pool", "sum", ...
        shape: (C, h, w) of its result.
        stride: Pixels of the image per position, vertically; None without geometry.
        receptive_field: Pixels of the image that a position sees, vertically, not cut at the
            border; infinite where it sees all of the image, None without geometry.
        parameters: Held by it and by what goes with it; counted once where it runs again.
        flops: Two per multiplication and addition, for one image.
        seconds: Wall clock of one image; 0 where it was not run.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    stride: float | None
    receptive_field: float | None
    parameters: int
    flops: int
    seconds: float


def layers(network: nn.Module, images: Tensor) -> list[Layer]:
    """Run a network and return its layers in the order in which they ran.

    Args:
        network: On the images' device; left in the mode that it is in.
        images: (1, C, H, W). On "meta" nothing is computed and no time taken; else the median of
            three runs after one to warm up.

    Returns:
        Rows in the order in which they ran; what only training runs comes last, in one row.
    """
    if images.is_meta:
        return _rows(network, listen(network, images))
    listen(network, images)
    runs = [listen(network, images) for _ in range(RUNS)]
    timed = [
        replace(same[0], seconds=statistics.median(operation.seconds for operation in same))
        for same in zip(*runs, strict=True)
    ]
    return _rows(network, timed)


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
    rows: list[Layer] = []
    for operation in operations:
        module = modules[operation.owner]
        parameters = _count(module, counted)
        if (operation.kind in KINDS and operation.spans) or not rows:
            rows.append(_row(operation, module, parameters))
            continue
        rows[-1] = replace(
            rows[-1],
            parameters=rows[-1].parameters + parameters,
            flops=rows[-1].flops + operation.flops,
            seconds=rows[-1].seconds + operation.seconds,
        )
    idle = sum(_count(module, counted) for module in modules.values())
    if idle:
        rows.append(Layer("", "not run here", (), None, None, idle, 0, 0.0))
    return rows


def _row(operation: Operation, module: nn.Module, parameters: int) -> Layer:
    height = operation.spans[0] if operation.spans else None
    return Layer(
        name=operation.owner,
        kind=_kind(operation, module),
        shape=operation.shape[1:],
        stride=height.stride if height else None,
        receptive_field=height.size if height else None,
        parameters=parameters,
        flops=operation.flops,
        seconds=operation.seconds,
    )


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
