"""One training run from its configuration to its model folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from atrous.data import DataSpec, open_data
from atrous.errors import InputError
from atrous.evaluation import Evaluation, evaluate
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.begin import seeded_model
from atrous.training.best import Best, best_so_far
from atrous.training.checkpoints import Progress, read_progress, sweep
from atrous.training.config import TrainConfig
from atrous.training.cost import measure_cost, time_reading
from atrous.training.environment import check_data, write_environment
from atrous.training.heap import keep_freed_memory
from atrous.training.loop import memory_named, samples, train
from atrous.training.plan import (
    Plan,
    default_lr,
    derive_crop,
    larger_than_images,
    make_plan,
    pick_precision,
    pick_workers,
)
from atrous.training.preflight import pick_device, preflight
from atrous.training.run_folder import new_run, read_config, resumable, write_config
from atrous.training.samples import collate
from atrous.training.task import SegmentationTask, poly_decay
from atrous.training.watch import Reporter, Silent
from atrous.weights import load, weights_origin

__all__ = ["RunResult", "fit", "plan_run", "sound"]


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The run folder.
        model: The folder of the best model in it.
        step: Optimizer steps done.
        evaluation: The best model on the validation split; None if the run was interrupted.
        spec: The data that it was trained on.
        predictor: The best model, ready to predict; None if the run was interrupted.
    """

    folder: Path
    model: Path
    step: int
    evaluation: Evaluation | None
    spec: DataSpec
    predictor: Predictor | None


def fit(
    config: TrainConfig, *, spec: DataSpec | None = None, reporter: Reporter | None = None
) -> RunResult:
    """Train as `config` says, or go on with the run that it names.

    Args:
        config: What to do.
        spec: The data, if they have been opened already.
        reporter: Is told of the plan, each step and each validation.

    Raises:
        InputError: The data have faults, an option does not fit them, the run is finished, ...
        KeyboardInterrupt: The second Ctrl-C, or one while the score is taken; its text says how
            to go on.
    """
    reporter = reporter or Silent()
    config = preflight(config)
    assert config.data is not None
    spec = sound(spec or open_data(config.data), config.skip_bad)
    device = pick_device(config.device)
    if device == "cpu":
        keep_freed_memory()
    earlier = _earlier(config.resume, spec) if config.resume else None
    done = earlier.step if earlier else 0
    is_finished = config.iterations is not None and done >= config.iterations
    if config.resume and config.iterations and is_finished:
        _refuse_finished(config.resume, done, config.iterations)
    best = Best()
    if config.resume and earlier:
        best = best_so_far(
            config.resume, spec, tile=config.tile, done=done, device=device, reporter=reporter
        )
    if config.resume and is_finished:
        return _scored(config.resume, done, spec, device, reporter)
    # the checkpoint holds the weights: nothing to fetch, wherever they came from
    start = dataclasses.replace(config, weights="none") if earlier else config
    model, weights = seeded_model(start, spec, reporter)
    if earlier:
        model.normalization = earlier.normalization
    model = model.to(device).to(memory_format=torch.channels_last)
    lr = config.lr or default_lr(config.optimizer, model, pretrained=weights is not None)
    plan = plan_run(config, spec, model, device=device, lr=lr, done=done, reporter=reporter)
    folder = config.resume or new_run(config)  # not before everything has proved right
    if config.resume:
        _tell_new_length(folder, plan, reporter)
    options = {k: v for k, v in model.spec.options.items() if v is not None}
    config = dataclasses.replace(config, options=options, input_scale=model.input_scale)
    config = _resolve(config, plan, folder)
    write_config(folder, config)
    origin = (
        {} if earlier else {"encoder_weights": weights_origin(weights, model.spec.encoder_name)}
    )
    began = {"data": spec.fingerprint, **origin}
    write_environment(folder, done=done, device=plan.device, precision=plan.precision, began=began)
    reporter.plan(plan)
    with resumable(folder), memory_named(plan):
        step = train(config, plan, spec, model, folder, reporter, best)
    if step < plan.iterations:
        return RunResult(folder, folder / "model", step, None, spec, None)
    return _scored(folder, step, spec, device, reporter)


def _scored(folder: Path, step: int, spec: DataSpec, device: str, reporter: Reporter) -> RunResult:
    """Score the best model as it lies on the disk; that is all that a finished run may lack."""
    with resumable(folder):
        predictor = Predictor(load(folder / "model"), device=device)
        evaluation = evaluate(predictor, spec, "val", progress=reporter.scoring)
    return RunResult(folder, folder / "model", step, evaluation, spec, predictor)


def plan_run(
    config: TrainConfig,
    spec: DataSpec,
    model: SegmentationModel,
    *,
    device: str,
    lr: float,
    done: int = 0,
    reporter: Reporter,
) -> Plan:
    """Measure what a step costs here and plan the run; say so where the crop is too large."""
    crop = config.crop_size or derive_crop(spec, model.input_scale)
    if told := larger_than_images(crop, spec, model.input_scale):
        reporter.note(told)
    precision = pick_precision(config.precision, device)
    source = samples(config, crop, spec, model)
    count = min(2, config.batch_size, config.micro_batch or config.batch_size)
    images, labels = (x.to(device) for x in collate([source[number] for number in range(count)]))
    predictor = Predictor(model, device=device)
    first = spec.splits["val"][0]

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(trial, SegmentationModel)
        task = SegmentationTask(
            trial,
            optimizer="sgd",
            lr=1.0,
            weight_decay=0.0,
            iterations=1,
            micro_batch=count,
            loss=config.loss,
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
    return make_plan(
        config,
        crop=crop,
        images=len(spec.splits["train"]),
        device=device,
        lr=lr,
        cost=cost,
        done=done,
    )


def sound(spec: DataSpec, skip_bad: bool) -> DataSpec:
    """Return `spec` if it can be trained on.

    Raises:
        InputError: There are faults and they are not to be skipped, or a split is missing or void.
    """
    faults = [finding for finding in spec.findings if finding.severity == "error"]
    if faults and not skip_bad:  # else they are left out: `splits` holds usable pairs only
        first = faults[0]
        raise InputError(
            f"{len(faults)} fault(s) in {spec.root}; the first: {first.path}: {first.what} "
            f"-> {first.remedy} (or leave such pairs out: --skip-bad)"
        )
    for split in ("train", "val"):
        if not spec.splits.get(split):
            raise InputError(
                f"{spec.root} has no {split} pairs; put some into {split}/images and {split}/masks"
            )
        if not any(spec.statistics[split].pixels):
            raise InputError(
                f"every mask of {split} in {spec.root} is void, so there is nothing to "
                f"{'learn' if split == 'train' else 'score'}; label some of them"
            )
    return spec


def _earlier(folder: Path, spec: DataSpec) -> Progress | None:
    """Return how far the run to go on with has come, once its data have proved to be the same."""
    check_data(folder, spec.fingerprint)
    sweep(folder / "last.ckpt")
    return read_progress(folder / "last.ckpt")


def _tell_new_length(folder: Path, plan: Plan, reporter: Reporter) -> None:
    """Say what another number of iterations does to the learning rate of a run half done."""
    before = read_config(folder).iterations
    if before is None or before == plan.iterations:
        return
    old, new = (plan.lr * poly_decay(plan.done, end) for end in (before, plan.iterations))
    reporter.note(
        f"Length   {plan.iterations} iterations instead of {before}: the decay is planned anew, "
        f"so the learning rate goes from {old:.2g} to {new:.2g} at iteration {plan.done}"
    )


def _refuse_finished(folder: Path, done: int, iterations: int) -> None:
    report, last = folder / "report.html", folder / "last.ckpt"
    if not report.exists() or report.stat().st_mtime < last.stat().st_mtime:
        return  # killed between the last step and its report: write it
    raise InputError(
        f"{folder} is finished ({done} of {iterations} iterations); "
        f"to train on: atrous train --resume {folder} --iterations {2 * done}"
    )


def _resolve(config: TrainConfig, plan: Plan, folder: Path) -> TrainConfig:
    """Return `config` with every choice that was left to us filled in."""
    return dataclasses.replace(
        config,
        out=folder,
        iterations=plan.iterations,
        epochs=None,
        minutes=None,
        val_every=plan.val_every,
        micro_batch=plan.micro_batch,
        crop=plan.crop,
        precision="bf16-mixed" if plan.precision == "bf16-mixed" else "fp32",
        lr=plan.lr,
        weight_decay=config.decay,
        workers=plan.workers,
    )
