"""What a run will do and cost, measured on this machine before the first step."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atrous.data import DataSpec
from atrous.models import SegmentationModel
from atrous.training.config import (
    DEFAULT_EPOCHS,
    DEFAULT_LR,
    DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM,
    DEFAULT_LR_WITHOUT_NORM,
    FEWEST_ITERATIONS,
    CacheKind,
    NormPolicy,
    TrainConfig,
)
from atrous.training.cost import Cost, largest_fitting

__all__ = [
    "Plan",
    "default_lr",
    "derive_crop",
    "larger_than_images",
    "make_plan",
    "pick_precision",
    "pick_workers",
    "whole_crop",
]

LARGEST_CROP = 512

MOST_VALIDATIONS = 10
"""Validations in a run where nothing is said."""


@dataclass(frozen=True)
class Plan:
    """What a run will do; all of it stands in the run's `config.yaml`.

    Attributes:
        iterations: Optimizer steps.
        done: Steps done before, in the run that is gone on with.
        batch_size: Images per step, in all processes together.
        micro_batch: Images in memory at once, of one process.
        crop: (height, width) of the training images.
        val_every: Steps between two validations.
        precision: "fp32" or "bf16-mixed".
        device: "cpu" or "cuda".
        workers: Loader processes.
        optimizer: "sgd" or "adamw".
        lr: Learning rate of the first step.
        seconds: Forecast of what is left of the run, validations included.
        memory_bytes: Forecast of the peak memory, of one process.
        schedule: How the learning rate changes.
        norm: What batch norm does; never "auto".
        processes: How many share the batch.
        cache: Where decoded images are kept: "none", "memory", "disk" or "device" ...
        cache_bytes: ... and how much they take; what is not on disk is in `memory_bytes`, too.
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
    schedule: str = "poly"
    norm: NormPolicy = "train"
    processes: int = 1
    cache: CacheKind = "none"
    cache_bytes: int = 0

    @property
    def synchronises_norms(self) -> bool:
        """Whether batch norm that trains sees what all processes hold: GPUs can share it."""
        trains = self.norm in ("train", "fixed_encoder")  # the decoder's
        return trains and self.processes > 1 and self.device == "cuda"

    @property
    def normalised_together(self) -> int:
        """Images whose statistics are taken together where batch norm trains."""
        return self.micro_batch * (self.processes if self.device == "cuda" else 1)


def make_plan(
    config: TrainConfig,
    *,
    crop: tuple[int, int],
    images: int,
    device: str,
    lr: float,
    cost: Cost,
    done: int = 0,
    processes: int = 1,
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
        processes: How many share each batch.
    """
    batch = -(-config.batch_size // processes)  # the largest share
    workers = pick_workers(config)
    step_seconds = batch * _seconds_per_image(cost, workers, device) + cost.seconds_per_update
    micro = config.micro_batch or largest_fitting(batch, cost)
    iterations = _iterations(config, images, step_seconds, cost)
    val_every = config.val_every or -(-iterations // _validations(config, cost))
    left = max(0, iterations - done)
    validations = -(-left // val_every) + 1  # the last one is the report's
    return Plan(
        iterations=iterations,
        done=done,
        batch_size=config.batch_size,
        micro_batch=min(micro, batch),
        crop=crop,
        val_every=val_every,
        precision=pick_precision(config.precision, device),
        device=device,
        workers=workers,
        optimizer=config.optimizer,
        lr=lr,
        seconds=left * step_seconds + validations * cost.seconds_per_validation,
        memory_bytes=cost.bytes_fixed + min(micro, batch) * cost.bytes_per_image,
        schedule=config.schedule,
        norm=config.norm,
        processes=processes,
    )


def pick_workers(config: TrainConfig) -> int:
    """Return how many processes read and augment: half as many as there are cores, at most four."""
    if config.workers is not None:
        return config.workers
    return min(4, max(1, (os.cpu_count() or 1) // 2))


def derive_crop(spec: DataSpec, input_scale: float = 1.0) -> tuple[int, int]:
    """Return the commonest size of the training images as the network sees them, at most 512."""
    sizes = spec.statistics["train"].sizes
    height, width = max(sizes, key=lambda size: sizes[size])
    seen = (max(1, round(side * input_scale)) for side in (height, width))
    first, second = (min(side, LARGEST_CROP) for side in seen)
    return first, second


def whole_crop(spec: DataSpec, input_scale: float = 1.0) -> tuple[int, int]:
    """Return the smallest crop that holds every training image as the network sees it."""
    heights, widths = zip(*spec.statistics["train"].sizes, strict=True)
    return round(max(heights) * input_scale), round(max(widths) * input_scale)


def larger_than_images(
    crop: tuple[int, int], spec: DataSpec, input_scale: float = 1.0
) -> str | None:
    """Return a line about a crop that no training image can fill without being enlarged."""
    sizes = [tuple(round(x * input_scale) for x in s) for s in spec.statistics["train"].sizes]
    if any(height >= crop[0] and width >= crop[1] for height, width in sizes):
        return None
    largest = max(sizes, key=lambda size: size[0] * size[1])
    fitting = tuple(min(pair) for pair in zip(crop, largest, strict=True))
    seen = "" if input_scale == 1 else f" at input scale {input_scale:g}"
    return (
        f"Crop     {crop[0]}x{crop[1]} is larger than every training image, at most "
        f"{largest[0]}x{largest[1]}{seen}: the rest of it is void; "
        f"better: --crop {fitting[0]},{fitting[1]}"
    )


def default_lr(optimizer: str, model: SegmentationModel, *, pretrained: bool) -> float:
    """Return the initial learning rate that suits a network: smaller where nothing is normalised.

    The encoder decides, or the whole network where it has none: below a decoder with batch norm
    VGG-16 is still VGG-16. A decoder of several layers that has no norm (RefineNet) takes the
    smallest rate below any encoder: what its layers add up grows from one to the next.

    Args:
        optimizer: "sgd" or "adamw".
        model: The network.
        pretrained: Whether its encoder has been filled.
    """
    encoder = {module for part in model.encoders or (model,) for module in part.modules()}
    decoder = [module for module in model.modules() if module not in encoder]
    classes = len(model.label_set)
    is_deep = any(isinstance(m, nn.Conv2d) and m.out_channels != classes for m in decoder)
    if _is_normalised(encoder):
        is_plain = is_deep and not _is_normalised(decoder)
        return (DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM if is_plain else DEFAULT_LR)[optimizer]
    without = DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM if pretrained else DEFAULT_LR_WITHOUT_NORM
    return without[optimizer]


def _is_normalised(modules: Iterable[nn.Module]) -> bool:
    kinds = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
    return any(isinstance(module, kinds) for module in modules)


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


def _seconds_per_image(cost: Cost, workers: int, device: str) -> float:
    """Return what an image costs with all that is done for it.

    Without loader processes one thing is done after the other. With them the slower side decides:
    the network, or the readers. On a CPU both live on the same cores, which cannot give more than
    all their time: where the network's threads already fill them, what the readers take is added.
    """
    compute, read = cost.seconds_per_image, cost.seconds_per_sample
    if workers == 0:
        return compute + read
    cores = os.cpu_count() or 1
    slower = max(compute, read / min(workers, cores))
    if device != "cpu":
        return slower
    threads = min(cores, torch.get_num_threads())
    return max(slower, (threads * compute + read) / cores)
