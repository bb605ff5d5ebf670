"""From a configuration to a plan: a throw-away step or two on the real data, on every machine."""

import dataclasses

import torch
from torch import Tensor, nn

from atrous.data import DataSpec
from atrous.data.cache.opening import decoded_sizes
from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.adversarial_task import task_kind
from atrous.training.caching import cache_memory, is_resident
from atrous.training.config import TrainConfig
from atrous.training.cost import Cost, measure_cost, time_reading, time_validation, worst
from atrous.training.loader import batch_source
from atrous.training.plan import (
    Plan,
    derive_crop,
    larger_than_images,
    make_plan,
    pick_precision,
    pick_workers,
    whole_crop,
)
from atrous.training.protocol import Protocol
from atrous.training.ranks import Ranks
from atrous.training.reach import unfed_taps
from atrous.training.task import SegmentationTask
from atrous.training.watch import Reporter

__all__ = ["plan_run", "training_cost"]


def plan_run(
    config: TrainConfig,
    spec: DataSpec,
    model: SegmentationModel,
    *,
    device: str,
    lr: float,
    done: int = 0,
    reporter: Reporter,
    ranks: Ranks | None = None,
) -> Plan:
    """Measure what a step costs here and plan the run; say so where the crop is too large.

    Of several processes the slowest and the one with the least memory decide.

    Args:
        config: What was asked for.
        spec: The data; the memory of their cache has been taken already.
        model: On the device of the run.
        device: "cpu" or "cuda".
        lr: Learning rate of the first step.
        done: Steps done before.
        reporter: Is told of a crop that is too large.
        ranks: The processes of the run.

    Raises:
        InputError: More processes than images in a batch.
    """
    ranks = ranks or Ranks()
    if config.batch_size < ranks.world:
        raise InputError(
            f"--batch-size is {config.batch_size}, but each of {ranks.world} processes needs an "
            f"image of it; start {config.batch_size} at most, or raise it"
        )
    if is_resident(spec):  # what they would do is done on the device
        config = dataclasses.replace(config, workers=0)
    derive = whole_crop if config.crop == "whole" else derive_crop
    crop = config.crop_size or derive(spec, model.input_scale)
    if config.crop != "whole" and (told := larger_than_images(crop, spec, model.input_scale)):
        reporter.note(told)
    if not config.tile and (told := unfed_taps(model, crop, _largest(spec, model.input_scale))):
        reporter.note(told)
    cost = training_cost(config, spec, model, crop, device=device, ranks=ranks)
    if device == "cpu" or is_resident(spec):  # taken, but a cache must not change the micro-batch
        cost = dataclasses.replace(cost, bytes_free=cost.bytes_free + cache_memory(spec))
    plan = make_plan(
        config,
        crop=crop,
        images=len(spec.splits["train"]),
        device=device,
        lr=lr,
        cost=worst(ranks.all(cost)),
        done=done,
        processes=ranks.world,
    )
    if spec.cache is not None:
        kept = sum(decoded_sizes(spec, "train").values())
        plan = dataclasses.replace(plan, cache=spec.cache.kind, cache_bytes=kept)
    return ranks.of_first(plan)


def training_cost(
    config: TrainConfig,
    spec: DataSpec,
    model: SegmentationModel,
    crop: tuple[int, int],
    *,
    device: str,
    ranks: Ranks,
) -> Cost:
    """Measure what an image costs in training, on a throw-away copy of the network.

    Args:
        config: What was asked for.
        spec: The data, read as in the run.
        model: On the device of the run.
        crop: (height, width) of the training crop.
        device: "cpu" or "cuda".
        ranks: The processes of the run, which share each batch.
    """
    source = batch_source(config, crop, spec, model)
    at_once = config.micro_batch or config.batch_size
    at_once = min(at_once, -(-config.batch_size // ranks.world))
    count = min(2, at_once)
    images, labels = (x.to(device) for x in source.batch(range(count)))
    predictor = Predictor(model, device=device)
    first = spec.splits["val"][0]
    protocol = dataclasses.replace(Protocol.of(config), ema=None)

    def task(trial: nn.Module) -> SegmentationTask:
        assert isinstance(trial, SegmentationModel)
        return task_kind(protocol)(
            trial,
            optimizer=config.optimizer,
            lr=1.0,
            weight_decay=0.0,
            iterations=1,
            micro_batch=count,
            protocol=protocol,
        ).to(images.device)

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return task(trial).loss_share(images, labels)

    def optimizer_of(trial: nn.Module) -> torch.optim.Optimizer:
        return task(trial).configure_optimizers()[0]  # not an adversary's

    def read_one(number: int) -> Tensor:
        return source.batch([number])[1].cpu()  # waits for the device

    cost = measure_cost(
        loss,
        optimizer_of,
        model,
        images,
        labels,
        precision=pick_precision(config.precision, device),
        at_once=at_once,
        processes=ranks.local_world,
    )
    reading = time_reading(
        read_one, count, workers=pick_workers(config), is_cached=spec.cache is not None
    )
    validation = time_validation(lambda: predictor(spec.read_image(first)), len(spec.splits["val"]))
    return dataclasses.replace(cost, seconds_per_sample=reading, seconds_per_validation=validation)


def _largest(spec: DataSpec, input_scale: float) -> tuple[int, int]:
    """Return the largest height and width of the validation images, as the network sees them."""
    heights, widths = zip(*spec.statistics["val"].sizes, strict=True)
    return round(max(heights) * input_scale), round(max(widths) * input_scale)
