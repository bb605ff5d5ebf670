"""From a configuration to a plan: a throw-away step or two on the real data, on every machine."""

import dataclasses

from torch import Tensor, nn

from atrous.data import DataSpec
from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.adversarial_task import task_kind
from atrous.training.config import TrainConfig
from atrous.training.cost import measure_cost, time_reading, worst
from atrous.training.loop import samples
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
from atrous.training.samples import collate
from atrous.training.watch import Reporter

__all__ = ["plan_run"]


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

    Raises:
        InputError: More processes than images in a batch.
    """
    ranks = ranks or Ranks()
    if config.batch_size < ranks.world:
        raise InputError(
            f"--batch-size is {config.batch_size}, but each of {ranks.world} processes needs an "
            f"image of it; start {config.batch_size} at most, or raise it"
        )
    derive = whole_crop if config.crop == "whole" else derive_crop
    crop = config.crop_size or derive(spec, model.input_scale)
    if config.crop != "whole" and (told := larger_than_images(crop, spec, model.input_scale)):
        reporter.note(told)
    if not config.tile and (told := unfed_taps(model, crop, _largest(spec, model.input_scale))):
        reporter.note(told)
    precision = pick_precision(config.precision, device)
    source = samples(config, crop, spec, model)
    count = min(2, config.batch_size, config.micro_batch or config.batch_size)
    images, labels = (x.to(device) for x in collate([source[number] for number in range(count)]))
    predictor = Predictor(model, device=device)
    first = spec.splits["val"][0]
    protocol = dataclasses.replace(Protocol.of(config), ema=None)

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(trial, SegmentationModel)
        task = task_kind(protocol)(
            trial,
            optimizer="sgd",
            lr=1.0,
            weight_decay=0.0,
            iterations=1,
            micro_batch=count,
            protocol=protocol,
        ).to(images.device)
        return task.loss_share(images, labels)

    cost = measure_cost(
        loss,
        model,
        images,
        labels,
        precision=precision,
        seconds_per_sample=time_reading(source.__getitem__, count, workers=pick_workers(config)),
        validate_one=lambda: predictor(spec.read_image(first)),
        num_validation=len(spec.splits["val"]),
    )
    if device == "cpu":
        cost = dataclasses.replace(cost, bytes_free=cost.bytes_free // ranks.local_world)
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
    return ranks.of_first(plan)


def _largest(spec: DataSpec, input_scale: float) -> tuple[int, int]:
    """Return the largest height and width of the validation images, as the network sees them."""
    heights, widths = zip(*spec.statistics["val"].sizes, strict=True)
    return round(max(heights) * input_scale), round(max(widths) * input_scale)
