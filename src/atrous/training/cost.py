"""What training costs on this machine: a throw-away copy of the network on a few images."""

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor, nn

from atrous.training.memory import ASSUMED_PER_IMAGE, free_memory, read_peak, start_peak

__all__ = ["Cost", "largest_fitting", "measure_cost", "time_reading", "time_validation", "worst"]

MEMORY_SHARE = 0.5
"""Of the free memory, that the images of a micro-batch may take."""

MOST_PASSES, LONGEST_PASSES = 3, 2.0
"""Passes of a whole micro-batch that are timed, and the seconds that they may take together."""

MOST_SAMPLES, LONGEST_READING = 8, 2.0
"""Training samples that are timed, and the seconds after which no further one is begun."""


@dataclass(frozen=True)
class Cost:
    """What training costs on this machine.

    Attributes:
        seconds_per_image: Forward and backward pass of one image.
        bytes_fixed: Memory of weights, gradients, optimizer and the libraries.
        bytes_per_image: Memory that one more image in the micro-batch takes.
        bytes_free: Memory that was free, the share of one process.
        seconds_per_update: The optimizer's part of a step.
        seconds_per_sample: Reading and augmenting one image, by one process.
        seconds_per_validation: One pass over the validation split.
    """

    seconds_per_image: float
    bytes_fixed: int
    bytes_per_image: int
    bytes_free: int
    seconds_per_update: float = 0.0
    seconds_per_sample: float = 0.0
    seconds_per_validation: float = 0.0


def measure_cost(
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    optimizer_of: Callable[[nn.Module], torch.optim.Optimizer],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    precision: str,
    at_once: int,
    processes: int,
) -> Cost:
    """Train a throw-away copy of `model` on a few images and look at the clock and the memory.

    A small network takes an image of sixteen in half the time of one of two. So the memory is that
    of the images as given, the time that of as many as training will take at once, where memory and
    `LONGEST_PASSES` allow: they are the same images again and again.

    Args:
        loss: Maps a model, images and labels to the loss that training will use.
        optimizer_of: Makes the optimizer of a model.
        model: Left untouched.
        images: (N, C, h, w), N of 1 or 2, on the device of the run.
        labels: (N, h, w).
        precision: "fp32" or "bf16-mixed".
        at_once: The most images that training will take in one pass.
        processes: How many measure on this machine at the same time; they share its RAM.
    """
    trial = copy.deepcopy(model).train()
    device = images.device.type

    def seconds_an_image(count: int) -> float:
        chosen = torch.arange(count, device=images.device) % len(images)
        some, their_labels = images[chosen], labels[chosen]
        begin = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            value = loss(trial, some, their_labels)
        value.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        _finish(device)
        return (time.perf_counter() - begin) / count

    state = 4 * sum(p.numel() for p in model.parameters()) * 4  # weights, gradient, two moments
    free = free_memory(device) // (processes if device == "cpu" else 1)
    before = start_peak(device)
    seconds_an_image(len(images))  # the first pass pays for the libraries' set-up
    seconds = seconds_an_image(len(images))
    peak = read_peak(device)
    cost = Cost(
        seconds_per_image=seconds,
        bytes_fixed=before + state,
        bytes_per_image=max(0, peak - before) // len(images) if before else ASSUMED_PER_IMAGE,
        bytes_free=free,
    )
    count, spent = largest_fitting(at_once, cost), 0.0
    for _ in range(MOST_PASSES):
        if spent + count * seconds > LONGEST_PASSES:
            break
        seconds = seconds_an_image(count)
        spent += count * seconds
    update = _seconds_of_update(optimizer_of(trial), device)
    return dataclasses.replace(cost, seconds_per_image=seconds, seconds_per_update=update)


def largest_fitting(batch: int, cost: Cost) -> int:
    """Return the largest share of the batch (a half, a quarter, ...) that memory allows."""
    count = batch
    while count > 1 and count * cost.bytes_per_image > MEMORY_SHARE * cost.bytes_free:
        count = -(-count // 2)
    return count


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


def time_validation(validate_one: Callable[[], object], images: int) -> float:
    """Return the seconds that so many validation images take.

    Args:
        validate_one: Reads and predicts one of them.
        images: In the validation split.
    """
    if not images:
        return 0.0
    validate_one()  # pays for the libraries' set-up
    begin = time.perf_counter()
    validate_one()
    return (time.perf_counter() - begin) * images


def worst(costs: Sequence[Cost]) -> Cost:
    """Return what all machines can keep to: the longest times, the least memory."""
    return Cost(
        seconds_per_image=max(cost.seconds_per_image for cost in costs),
        seconds_per_update=max(cost.seconds_per_update for cost in costs),
        seconds_per_sample=max(cost.seconds_per_sample for cost in costs),
        seconds_per_validation=max(cost.seconds_per_validation for cost in costs),
        bytes_fixed=max(cost.bytes_fixed for cost in costs),
        bytes_per_image=max(cost.bytes_per_image for cost in costs),
        bytes_free=min(cost.bytes_free for cost in costs),
    )


def _seconds_of_update(optimizer: torch.optim.Optimizer, device: str) -> float:
    optimizer.step()  # makes its moments
    _finish(device)
    begin = time.perf_counter()
    optimizer.step()
    _finish(device)
    return time.perf_counter() - begin


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
