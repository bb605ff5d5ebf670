"""What training costs on this machine: a throw-away copy of the network on a few images."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor, nn

from atrous.training.memory import ASSUMED_PER_IMAGE, free_memory, read_peak, start_peak

__all__ = ["Cost", "measure_cost", "time_reading", "worst"]

MOST_SAMPLES, LONGEST_READING = 8, 2.0
"""Training samples that are timed, and the seconds after which no further one is begun."""


@dataclass(frozen=True)
class Cost:
    """What training costs on this machine.

    Attributes:
        seconds_per_image: Forward and backward pass of one image.
        seconds_per_sample: Reading and augmenting one image, by one process.
        seconds_per_validation: One pass over the validation split.
        bytes_fixed: Memory of weights, gradients, optimizer and the libraries.
        bytes_per_image: Memory that one more image in the micro-batch takes.
        bytes_free: Memory that was free.
    """

    seconds_per_image: float
    seconds_per_sample: float
    seconds_per_validation: float
    bytes_fixed: int
    bytes_per_image: int
    bytes_free: int


def measure_cost(
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    precision: str,
    seconds_per_sample: float,
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
        seconds_per_sample: What `time_reading` found.
        validate_one: Reads and predicts one validation image.
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
        seconds_per_sample=seconds_per_sample,
        seconds_per_validation=validation * num_validation,
        bytes_fixed=before + state,
        bytes_per_image=max(0, peak - before) // len(images) if before else ASSUMED_PER_IMAGE,
        bytes_free=free,
    )


def time_reading(
    read_one: Callable[[int], object], first: int, *, workers: int, is_cached: bool = False
) -> float:
    """Return the mean seconds that a training sample takes: images may be of many sizes.

    Args:
        read_one: Makes sample n, augmented.
        first: The first n to take; those before it have paid for the libraries' set-up.
        workers: Loader processes; in each of them OpenCV uses one thread.
        is_cached: Whether all passes but the first find what the first has decoded.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(0 if workers else before)
    for _ in range(2 if is_cached else 1):
        done, begin = 0, time.perf_counter()
        while done < MOST_SAMPLES and time.perf_counter() - begin < LONGEST_READING:
            read_one(first + done)
            done += 1
        seconds = (time.perf_counter() - begin) / done
    cv2.setNumThreads(before)
    return seconds


def worst(costs: Sequence[Cost]) -> Cost:
    """Return what all machines can keep to: the longest times, the least memory."""
    return Cost(
        seconds_per_image=max(cost.seconds_per_image for cost in costs),
        seconds_per_sample=max(cost.seconds_per_sample for cost in costs),
        seconds_per_validation=max(cost.seconds_per_validation for cost in costs),
        bytes_fixed=max(cost.bytes_fixed for cost in costs),
        bytes_per_image=max(cost.bytes_per_image for cost in costs),
        bytes_free=min(cost.bytes_free for cost in costs),
    )


def _timed(work: Callable[[], object]) -> float:
    work()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
