"""One training run from its configuration to its model folder."""

import dataclasses
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from atrous.data import DataSpec, JointTransform, open_data
from atrous.errors import InputError
from atrous.evaluation import Evaluation, evaluate
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.checkpoints import KeepLast, WholeFileIO, checkpoint_step
from atrous.training.config import TrainConfig
from atrous.training.plan import Cost, Plan, derive_crop, make_plan, measure_cost, pick_precision
from atrous.training.run_folder import new_run, resumed, write_config, write_environment
from atrous.training.samples import BatchOrder, TrainingSamples
from atrous.training.task import SegmentationTask
from atrous.training.watch import Journal, Reporter, Silent, Watch
from atrous.weights import WeightsUnreachable, create_model, load, save

__all__ = ["RunResult", "fit"]


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
    config = resumed(config) if config.resume else config
    assert config.data is not None
    spec = sound(spec or open_data(config.data), config.skip_bad)
    device = pick_device(config.device)
    folder = config.resume or new_run(config)
    done = checkpoint_step(folder / "last.ckpt")
    if config.resume and config.iterations and done >= config.iterations:
        _refuse_finished(folder, done, config.iterations)
    model = seeded_model(config, spec, reporter).to(device, memory_format=torch.channels_last)
    plan = plan_run(config, spec, model, device)
    config = _resolve(config, plan, folder)
    write_config(folder, config)
    write_environment(folder, precision=plan.precision, device=plan.device, data=spec.fingerprint)
    reporter.plan(plan)
    with _out_of_memory_named(plan):
        step = train(config, plan, spec, model, folder, reporter)
    finished = step >= plan.iterations
    predictor = Predictor(load(folder / "model"), device=device) if finished else None
    evaluation = evaluate(predictor, spec, "val") if predictor else None
    return RunResult(folder, folder / "model", step, plan, evaluation, spec, predictor)


def train(
    config: TrainConfig,
    plan: Plan,
    spec: DataSpec,
    model: SegmentationModel,
    folder: Path,
    reporter: Reporter,
) -> int:
    """Run the optimizer from the last checkpoint, if there is one, to the end or to Ctrl-C.

    Returns:
        Optimizer steps done in all.
    """
    last = folder / "last.ckpt"
    start = checkpoint_step(last)
    journal = Journal(folder, start)

    def keep(evaluation: Evaluation, step: int) -> None:
        provenance = {"step": step, "data": spec.fingerprint, "seed": config.seed}
        save(model, folder / "model", metrics=evaluation.to_json(), provenance=provenance)

    watch = Watch(
        spec,
        every=plan.val_every,
        predictor=Predictor(model, device=plan.device),
        keep=keep,
        journal=journal,
        reporter=reporter,
    )
    task = SegmentationTask(
        model,
        optimizer=config.optimizer,
        lr=config.initial_lr,
        weight_decay=config.decay,
        iterations=plan.iterations,
        micro_batch=plan.micro_batch,
        seed=config.seed,
    )
    trainer = lightning.Trainer(
        accelerator="gpu" if plan.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if plan.precision == "bf16-mixed" else "32-true",
        max_steps=plan.iterations,
        max_epochs=1,
        callbacks=[watch, KeepLast(last)],
        plugins=[WholeFileIO()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    model.train()
    with _quiet(), _stop_on_interrupt(trainer):
        trainer.fit(
            task,
            loader(config, plan, spec, start),
            ckpt_path=last if last.exists() else None,
        )
    journal.close()
    return int(trainer.global_step)


def loader(
    config: TrainConfig, plan: Plan, spec: DataSpec, start: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the batches of the run from step `start` on."""
    return DataLoader(
        samples(config, plan.crop, spec),
        batch_sampler=BatchOrder(plan.batch_size, start, plan.iterations),
        num_workers=plan.workers,
        worker_init_fn=_start_worker,
        pin_memory=plan.device == "cuda",
    )


def samples(config: TrainConfig, crop: tuple[int, int], spec: DataSpec) -> TrainingSamples:
    """Return the training samples of the run."""
    transform = JointTransform(
        crop,
        scale_range=config.scale_range,
        rotation=config.rotation,
        flip=config.flip,
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter,
        ignore_index=spec.label_set.ignore_index,
    )
    return TrainingSamples(spec, spec.splits["train"], transform, config.seed)


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
        return model

    if config.weights == "none":
        return create(None)
    if config.weights != "auto":
        return create(config.weights)
    try:
        return create("imagenet")
    except WeightsUnreachable as error:
        reporter.note(f"Weights  training from scratch: {error}")
        return create(None)


def plan_run(config: TrainConfig, spec: DataSpec, model: SegmentationModel, device: str) -> Plan:
    """Measure what a step costs here and plan the run."""
    crop = config.crop_size or derive_crop(spec)
    precision = pick_precision(config.precision, device)
    source = samples(config, crop, spec)
    count = min(2, config.batch_size)
    batch = [source[number] for number in range(count)]
    images, labels = (torch.stack(part).to(device) for part in zip(*batch, strict=True))
    predictor = Predictor(model, device=device)
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
        validate_one=lambda: predictor(first) and None,
        num_validation=len(spec.splits["val"]),
    )
    return make_plan(
        config, crop=crop, images=len(spec.splits["train"]), device=device, cost=cost
    )


def sound(spec: DataSpec, skip_bad: bool) -> DataSpec:
    """Return `spec` if it has no faults, or without the faulty pairs.

    Raises:
        InputError: There are faults and they are not to be skipped, or a split is missing.
    """
    faults = [finding for finding in spec.findings if finding.severity == "error"]
    if faults and not skip_bad:
        first = faults[0]
        raise InputError(
            f"{len(faults)} fault(s) in {spec.root}; the first: {first.path}: {first.what} "
            f"-> {first.remedy} (or leave such pairs out: --skip-bad)"
        )
    if faults:
        bad = {finding.path for finding in faults}
        splits = {
            name: tuple(pair for pair in pairs if not {pair.image, pair.mask} & bad)
            for name, pairs in spec.splits.items()
        }
        spec = dataclasses.replace(spec, splits=splits)
    for split in ("train", "val"):
        if not spec.splits.get(split):
            raise InputError(
                f"{spec.root} has no {split} pairs; put some into {split}/images and {split}/masks"
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
    if not (folder / "report.html").exists():
        return  # killed between the last step and the report: write it
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


def _start_worker(worker: int) -> None:
    """Leave Ctrl-C to the main process and the cores to the network."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


@contextmanager
def _stop_on_interrupt(trainer: lightning.Trainer) -> Iterator[None]:
    """Let the first Ctrl-C finish the step; the second interrupts at once."""

    def stop(signum: int, frame: Any) -> None:
        if trainer.should_stop:
            raise KeyboardInterrupt
        trainer.should_stop = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice to library authors away from users."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def _out_of_memory_named(plan: Plan) -> Iterator[None]:
    """Say which option to lower when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and (
            "allocate memory" not in text
        ):
            raise
        height, width = plan.crop
        smaller = max(1, plan.micro_batch // 2)
        raise InputError(
            f"out of memory with {plan.micro_batch} crops of {height}x{width} at once; "
            f"lower --micro-batch to {smaller} (the result stays nearly the same) or --crop"
        ) from error
