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
from atrous.models import MODELS, SegmentationModel
from atrous.training.checkpoints import checkpoint_step
from atrous.training.config import TrainConfig
from atrous.training.loop import memory_named, samples, train
from atrous.training.plan import Cost, Plan, derive_crop, make_plan, measure_cost, pick_precision
from atrous.training.run_folder import (
    check_data,
    check_out,
    new_run,
    resumed,
    write_config,
    write_environment,
)
from atrous.training.task import SegmentationTask
from atrous.training.watch import Reporter, Silent
from atrous.weights import WeightsUnreachable, create_model, load

__all__ = ["RunResult", "fit", "pick_device", "plan_run", "seeded_model", "sound"]


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The run folder.
        model: The folder of the best model in it.
        step: Optimizer steps done.
        plan: What was planned.
        evaluation: The best model on the validation split; None if the run was interrupted.
        spec: The data that it was trained on.
        predictor: The best model, ready to predict; None if the run was interrupted.
    """

    folder: Path
    model: Path
    step: int
    plan: Plan
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
    """
    reporter = reporter or Silent()
    if config.resume:
        config = resumed(config)
    elif config.out:
        check_out(config.out)
    assert config.data is not None
    spec = sound(spec or open_data(config.data), config.skip_bad)
    if config.resume:
        check_data(config.resume, spec.fingerprint)
    device = pick_device(config.device)
    done = checkpoint_step(config.resume / "last.ckpt") if config.resume else 0
    if config.resume and config.iterations and done >= config.iterations:
        _refuse_finished(config.resume, done, config.iterations)
    if done:  # the checkpoint holds the weights: nothing to fetch, wherever they came from
        model = seeded_model(dataclasses.replace(config, weights="none"), spec, reporter)
    else:
        model = seeded_model(config, spec, reporter)
    model = model.to(device).to(memory_format=torch.channels_last)
    plan = plan_run(config, spec, model, device, done)
    folder = config.resume or new_run(config)  # not before everything has proved right
    options = {k: v for k, v in model.spec.options.items() if v is not None}
    config = _resolve(dataclasses.replace(config, options=options), plan, folder)
    write_config(folder, config)
    write_environment(folder, precision=plan.precision, device=plan.device, data=spec.fingerprint)
    reporter.plan(plan)
    with memory_named(plan):
        step = train(config, plan, spec, model, folder, reporter)
    finished = step >= plan.iterations
    predictor = evaluation = None
    if finished:
        predictor = Predictor(load(folder / "model"), tile=config.tile, device=device)
        evaluation = evaluate(predictor, spec, "val")
    return RunResult(folder, folder / "model", step, plan, evaluation, spec, predictor)


def seeded_model(config: TrainConfig, spec: DataSpec, reporter: Reporter) -> SegmentationModel:
    """Build the network for the data, its encoder filled as `config.weights` says."""

    def create(weights: str | None) -> SegmentationModel:
        torch.manual_seed(config.seed)
        model = create_model(
            config.model,
            encoder_name=config.encoder,
            encoder_weights=weights,
            in_channels=spec.channels,
            classes=len(spec.label_set),
            **config.options,
        )
        model.label_set = spec.label_set
        model.normalization = model.normalization.with_white_at(spec.white)
        return model

    names_encoder = config.encoder or (config.model in MODELS and MODELS[config.model].encoder)
    if config.weights == "none" or (config.weights == "auto" and not names_encoder):
        return create(None)
    if config.weights != "auto":
        return create(config.weights)
    try:
        return create("imagenet")
    except WeightsUnreachable as error:
        cause = str(error).partition(";")[0]  # what follows advises those who insisted on them
        reporter.note(
            f"Weights  from scratch: {cause}; connect or give --weights FILE to do better"
        )
        return create(None)


def plan_run(
    config: TrainConfig, spec: DataSpec, model: SegmentationModel, device: str, done: int = 0
) -> Plan:
    """Measure what a step costs here and plan the run."""
    crop = config.crop_size or derive_crop(spec)
    precision = pick_precision(config.precision, device)
    source = samples(config, crop, spec)
    count = min(2, config.batch_size, config.micro_batch or config.batch_size)
    batch = [source[number] for number in range(count)]
    images, labels = (torch.stack(part).to(device) for part in zip(*batch, strict=True))
    predictor = Predictor(model, tile=config.tile, device=device)
    first = spec.read_image(spec.splits["val"][0])

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(trial, SegmentationModel)
        task = SegmentationTask(
            trial, optimizer="sgd", lr=1.0, weight_decay=0.0, iterations=1, micro_batch=count
        )
        return task.loss_sum(images, labels)

    cost: Cost = measure_cost(
        loss,
        model,
        images,
        labels,
        precision=precision,
        validate_one=lambda: predictor(first),
        num_validation=len(spec.splits["val"]),
    )
    count = len(spec.splits["train"])
    return make_plan(config, crop=crop, images=count, device=device, cost=cost, done=done)


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


def pick_device(asked: str) -> str:
    """Return "cpu" or "cuda".

    Raises:
        InputError: A GPU is asked for and there is none.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here; leave --device out")
    return asked


def _refuse_finished(folder: Path, done: int, iterations: int) -> None:
    report, last = folder / "report.html", folder / "last.ckpt"
    if not report.exists() or report.stat().st_mtime < last.stat().st_mtime:
        return  # killed between the last step and its report: write it
    raise InputError(
        f"{folder} is finished ({done} of {iterations} iterations); "
        f"to train on: atrous train --resume {folder} --iterations {2 * iterations}"
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
        lr=config.initial_lr,
        weight_decay=config.decay,
        workers=plan.workers,
    )
