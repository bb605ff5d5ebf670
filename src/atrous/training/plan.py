"""What a run will do and cost, measured on this machine before the first step."""

import copy
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from atrous.data import DataSpec
from atrous.training.config import (
    DEFAULT_EPOCHS,
    DEFAULT_LR,
    DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM,
    DEFAULT_LR_WITHOUT_NORM,
    FEWEST_ITERATIONS,
    TrainConfig,
)
from atrous.training.memory import ASSUMED_PER_IMAGE, free_memory, read_peak, start_peak

__all__ = [
    "Cost",
    "Plan",
    "default_lr",
    "derive_crop",
    "make_plan",
    "measure_cost",
    "pick_precision",
]

MEMORY_SHARE = 0.5
"""Share of the free memory that a micro-batch may take when its size is ours to choose."""

LARGEST_CROP = 512

MOST_VALIDATIONS = 10
"""Validations in a run where nothing is said."""


@dataclass(frozen=True)
class Cost:
    """What training costs on this machine.

    Attributes:
        seconds_per_image: Forward and backward pass of one image.
        seconds_per_validation: One pass over the validation split.
        bytes_fixed: Memory of weights, gradients, optimizer and the libraries.
        bytes_per_image: Memory that one more image in the micro-batch takes.
        bytes_free: Memory that was free.
    """

    seconds_per_image: float
    seconds_per_validation: float
    bytes_fixed: int
    bytes_per_image: int
    bytes_free: int


@dataclass(frozen=True)
class Plan:
    """What a run will do; all of it stands in the run's `config.yaml`.

    Attributes:
        iterations: Optimizer steps.
        done: Steps done before, in the run that is gone on with.
        batch_size: Images per step.
        micro_batch: Images in memory at once.
        crop: (height, width) of the training images.
        val_every: Steps between two validations.
        precision: "fp32" or "bf16-mixed".
        device: "cpu" or "cuda".
        workers: Loader processes.
        optimizer: "sgd" or "adamw".
        lr: Learning rate of the first step.
        seconds: Forecast of what is left of the run, validations included.
        memory_bytes: Forecast of the peak memory.
    """

    iterations: int
    done: int
    batch_size: int
    micro_batch: int
    crop: tuple[int, int]
    val_every: int
    precision: str
    device: str
    workers: int
    optimizer: str
    lr: float
    seconds: float
    memory_bytes: int


def make_plan(
    config: TrainConfig,
    *,
    crop: tuple[int, int],
    images: int,
    device: str,
    lr: float,
    cost: Cost,
    done: int = 0,
) -> Plan:
    """Turn what was asked for into numbers.

    Args:
        config: What was asked for.
        crop: (height, width) of the training crop.
        images: Images in the training split.
        device: "cpu" or "cuda".
        lr: Learning rate of the first step.
        cost: What `measure_cost` found.
        done: Steps done before.
    """
    batch = config.batch_size
    step_seconds = batch * cost.seconds_per_image
    micro = config.micro_batch or _fitting(batch, cost)
    iterations = _iterations(config, images, step_seconds, cost)
    val_every = config.val_every or -(-iterations // _validations(config, cost))
    left = max(0, iterations - done)
    validations = -(-left // val_every) + 1  # the last one is the report's
    cores = os.cpu_count() or 1
    return Plan(
        iterations=iterations,
        done=done,
        batch_size=batch,
        micro_batch=min(micro, batch),
        crop=crop,
        val_every=val_every,
        precision=pick_precision(config.precision, device),
        device=device,
        workers=config.workers if config.workers is not None else min(4, max(1, cores // 2)),
        optimizer=config.optimizer,
        lr=lr,
        seconds=left * step_seconds + validations * cost.seconds_per_validation,
        memory_bytes=cost.bytes_fixed + min(micro, batch) * cost.bytes_per_image,
    )


def measure_cost(
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    precision: str,
    validate_one: Callable[[], object],
    num_validation: int,
) -> Cost:
    """Train a throw-away copy of `model` on a few images and look at the clock and the memory.

    Args:
        loss: Maps a model, images and labels to the loss that training will use.
        model: Left untouched.
        images: (N, C, h, w), N of 1 or 2, on the device of the run.
        labels: (N, h, w).
        precision: "fp32" or "bf16-mixed".
        validate_one: Predicts one validation image.
        num_validation: Images in the validation split.
    """
    trial = copy.deepcopy(model).train()
    device = images.device.type
    state = 4 * sum(p.numel() for p in model.parameters()) * 4  # weights, gradient, two moments
    free = free_memory(device)
    before = start_peak(device)
    for _ in range(2):  # the first pass pays for the libraries' set-up
        begin = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            value = loss(trial, images, labels)
        value.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        _finish(device)
        seconds = time.perf_counter() - begin
    peak = read_peak(device)
    validation = _timed(validate_one) if num_validation else 0.0
    return Cost(
        seconds_per_image=seconds / len(images),
        seconds_per_validation=validation * num_validation,
        bytes_fixed=before + state,
        bytes_per_image=max(0, peak - before) // len(images) if before else ASSUMED_PER_IMAGE,
        bytes_free=free,
    )


def derive_crop(spec: DataSpec, input_scale: float = 1.0) -> tuple[int, int]:
    """Return the commonest size of the training images as the network sees them, at most 512."""
    sizes = spec.statistics["train"].sizes
    height, width = max(sizes, key=lambda size: sizes[size])
    seen = (max(1, round(side * input_scale)) for side in (height, width))
    first, second = (min(side, LARGEST_CROP) for side in seen)
    return first, second


def default_lr(optimizer: str, model: nn.Module, *, pretrained: bool) -> float:
    """Return the initial learning rate that suits a network: smaller where nothing is normalised.

    The encoder decides, or the whole network where it has none: below a decoder with batch norm
    VGG-16 is still VGG-16.

    Args:
        optimizer: "sgd" or "adamw".
        model: The network.
        pretrained: Whether its encoder has been filled.
    """
    encoder = getattr(model, "encoder", model)
    kinds = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
    if any(isinstance(module, kinds) for module in encoder.modules()):
        return DEFAULT_LR[optimizer]
    without = DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM if pretrained else DEFAULT_LR_WITHOUT_NORM
    return without[optimizer]


def pick_precision(asked: str, device: str) -> str:
    """Return `asked`, or for "auto" bf16-mixed where the processor multiplies bfloat16 natively."""
    if asked != "auto":
        return asked
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    flags: set[str] = set()
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
    return "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "fp32"


def _validations(config: TrainConfig, cost: Cost) -> int:
    """Return ten, or fewer where ten would take more than a third of the minutes."""
    if config.minutes is None:
        return MOST_VALIDATIONS
    affordable = 60 * config.minutes / 3 / max(cost.seconds_per_validation, 1e-9)
    return min(MOST_VALIDATIONS, max(1, int(affordable) - 1))  # one more is the report's


def _iterations(config: TrainConfig, images: int, step_seconds: float, cost: Cost) -> int:
    if config.iterations is not None:
        return config.iterations
    if config.minutes is not None:
        every = config.val_every
        validations = 1 if every else _validations(config, cost) + 1
        left = max(0.0, 60 * config.minutes - validations * cost.seconds_per_validation)
        per_step = step_seconds + (cost.seconds_per_validation / every if every else 0.0)
        return max(1, int(left / per_step))
    if config.epochs is not None:
        return -(-config.epochs * images // config.batch_size)
    return max(FEWEST_ITERATIONS, -(-DEFAULT_EPOCHS * images // config.batch_size))


def _fitting(batch: int, cost: Cost) -> int:
    """Return the largest share of the batch (a half, a quarter, ...) that memory allows."""
    micro = batch
    while micro > 1 and micro * cost.bytes_per_image > MEMORY_SHARE * cost.bytes_free:
        micro = -(-micro // 2)
    return micro


def _timed(work: Callable[[], object]) -> float:
    work()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
