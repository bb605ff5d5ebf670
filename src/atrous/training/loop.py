"""The optimizer's loop: Lightning's trainer, set up so that every step can be gone on from."""

import dataclasses
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
from torch import Tensor
from torch.utils.data import DataLoader

from atrous.data import DataSpec, JointTransform
from atrous.data.cache.resident_pairs import ResidentPairs
from atrous.data.loader_worker import prepare_worker
from atrous.data.transforms import Draw
from atrous.errors import InputError, is_out_of_memory
from atrous.evaluation import Evaluation
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.ops import Normalization
from atrous.training.adversarial_task import task_kind
from atrous.training.best import Best, save_best
from atrous.training.checkpoints import KeepLast, WholeFileIO
from atrous.training.class_weights import class_weights
from atrous.training.config import TrainConfig
from atrous.training.environment import read_environment
from atrous.training.plan import Plan
from atrous.training.protocol import Protocol
from atrous.training.ranks import Ranks
from atrous.training.resident import ResidentSamples
from atrous.training.samples import BatchOrder, TrainingSamples, collate
from atrous.training.sampling import ClassBalanced, Uniform
from atrous.training.shared import StopRequest, shared_strategy
from atrous.training.watch import Journal, Reporter, Watch, has_stopped
from atrous.weights import class_tensors

__all__ = [
    "Shown",
    "batch_source",
    "batches",
    "file_named",
    "loader",
    "make_trainer",
    "memory_named",
    "samples",
    "train",
]


Batches = DataLoader[tuple[Tensor, Tensor]] | DataLoader[tuple[int, Draw]]
"""A loader, by what its samples are before they are put together to images and labels."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What samples depend on of a network, where there is none."""

    normalization: Normalization
    input_scale: float = 1.0


def train(
    config: TrainConfig,
    plan: Plan,
    spec: DataSpec,
    model: SegmentationModel,
    folder: Path,
    reporter: Reporter,
    best: Best,
    ranks: Ranks,
) -> tuple[int, bool]:
    """Run the optimizer from the last checkpoint, if there is one, to the end or to Ctrl-C.

    Args:
        config: What was asked for.
        plan: What that means here.
        spec: The data.
        model: On the device of the run.
        folder: The run folder.
        reporter: Is told of each step and each validation.
        best: The validation that the run has to beat.
        ranks: The processes of the run.

    Returns:
        Optimizer steps done in all, and whether the run has come to its end.
    """
    last = folder / "last.ckpt"
    journal = Journal(folder, plan.done) if ranks.is_first else None
    began = read_environment(folder / "environment.json")

    def keep(evaluation: Evaluation, step: int) -> None:
        provenance = {
            "step": step,
            "data": spec.fingerprint,
            "seed": config.seed,
            "encoder_weights": began.get("encoder_weights", "unknown"),
        }
        save_best(task.judged, folder, evaluation, provenance)

    protocol = dataclasses.replace(Protocol.of(config), norm=plan.norm)
    task = task_kind(protocol)(
        model,
        optimizer=config.optimizer,
        lr=plan.lr,
        weight_decay=config.decay,
        iterations=plan.iterations,
        micro_batch=plan.micro_batch,
        seed=config.seed,
        class_weights=class_weights(config.class_weights, spec.statistics["train"]),
        protocol=protocol,
        classifier=class_tensors(model.spec) if "classifier" in config.lr_factors else (),
        ranks=ranks,
    )
    watch = Watch(
        spec,
        every=plan.val_every,
        predictor=Predictor(task.judged, device=plan.device),
        best=best.mean_iou,
        keep=keep,
        journal=journal,
        reporter=reporter,
        patience=config.patience,
        ranks=ranks,
    )
    model.train()
    batches = loader(config, plan, spec, model, plan.done, ranks)
    request = StopRequest(ranks)
    with _quiet():
        callbacks = [request, watch, KeepLast(last, ranks)]
        may_freeze = bool(config.freeze_encoder) or config.adversary != "none"
        trainer = make_trainer(plan, folder, callbacks, ranks, may_freeze=may_freeze)
        with request.listening(trainer), file_named():
            try:
                trainer.fit(task, batches, ckpt_path=last if last.exists() else None)
            finally:
                if journal is not None:
                    journal.close()
    step = int(trainer.global_step)
    has_waited = has_stopped(task.scores, config.patience, task.patient_since)
    return step, step >= plan.iterations or has_waited


def make_trainer(
    plan: Plan,
    folder: Path,
    callbacks: list[lightning.Callback],
    ranks: Ranks | None = None,
    *,
    may_freeze: bool = False,
) -> lightning.Trainer:
    """Return Lightning's trainer with all that we do ourselves switched off."""
    ranks = ranks or Ranks()
    is_shared = ranks.world > 1
    strategy = shared_strategy(ranks, plan.device, may_freeze=may_freeze) if is_shared else None
    return lightning.Trainer(
        accelerator="gpu" if plan.device == "cuda" else "cpu",
        devices=1,  # of this process; the strategy knows the others'
        num_nodes=ranks.world // ranks.local_world,
        strategy=strategy or "auto",
        sync_batchnorm=plan.synchronises_norms,
        precision="bf16-mixed" if plan.precision == "bf16-mixed" else "32-true",
        max_steps=plan.iterations,
        max_epochs=1,
        callbacks=callbacks,
        plugins=[WholeFileIO()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def loader(
    config: TrainConfig,
    plan: Plan,
    spec: DataSpec,
    model: SegmentationModel,
    start: int,
    ranks: Ranks | None = None,
) -> Batches:
    """Return this process's part of the batches of the run from step `start` on."""
    rank, world = (ranks.rank, ranks.world) if ranks else (0, 1)
    order = BatchOrder(plan.batch_size, start, plan.iterations, rank=rank, world=world)
    source = batch_source(config, plan.crop, spec, model)
    return batches(source, order, workers=plan.workers, device=plan.device)


def batches(
    source: TrainingSamples | ResidentSamples, order: BatchOrder, *, workers: int, device: str
) -> Batches:
    """Return the batches of `order`, made by loader processes or on the device."""
    if isinstance(source, ResidentSamples):
        return DataLoader(source, batch_sampler=order, collate_fn=source.collate)
    return DataLoader(
        source,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=device == "cuda",
    )


def batch_source(
    config: TrainConfig, crop: tuple[int, int], spec: DataSpec, model: SegmentationModel | Shown
) -> TrainingSamples | ResidentSamples:
    """Return what makes the batches: the samples, or where the split lies on the device, that."""
    on_host = samples(config, crop, spec, model)
    if isinstance(spec.cache, ResidentPairs):
        return ResidentSamples(on_host, spec.cache)
    return on_host


def samples(
    config: TrainConfig, crop: tuple[int, int], spec: DataSpec, model: SegmentationModel | Shown
) -> TrainingSamples:
    """Return the training samples of the run, as `model` is to see them."""
    low, high = config.scale_range
    transform = JointTransform(
        crop,
        scale_range=(low * model.input_scale, high * model.input_scale),
        rotation=config.rotation,
        flip=config.flip,
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter,
        normalization=model.normalization,
        ignore_index=spec.label_set.ignore_index,
        elastic=config.elastic,
        scale_step=config.scale_step and config.scale_step * model.input_scale,
        blur=config.blur,
    )
    pairs, statistics = spec.splits["train"], spec.statistics["train"]
    sampling = (
        ClassBalanced(statistics.pairs_with, config.seed)
        if config.sampling == "class_balanced"
        else Uniform(len(pairs), config.seed)
    )
    return TrainingSamples(
        spec,
        pairs,
        transform,
        config.seed,
        sampling=sampling,
        patch_sampling=config.patch_sampling,
    )


def _start_worker(worker: int) -> None:
    """Leave Ctrl-C to the main process and the cores to the network."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_worker(worker)


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
def file_named() -> Iterator[None]:
    """Give a fault found by a loader process its one line back; torch sends a whole trace."""
    try:
        yield
    except (RuntimeError, InputError) as error:
        *trace, last = str(error).strip().splitlines() or [""]
        name, _, told = last.partition(": ")
        if not trace or "in DataLoader worker process" not in trace[0]:
            raise
        if not name.startswith("atrous."):
            raise
        raise InputError(f"{told}; then go on with --resume") from error


@contextmanager
def memory_named(plan: Plan) -> Iterator[None]:
    """Say which option to lower when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = plan.crop
        smaller = max(1, plan.micro_batch // 2)
        raise InputError(
            f"out of memory with {plan.micro_batch} crops of {height}x{width} at once; "
            f"lower --micro-batch to {smaller} (the result stays nearly the same) or --crop"
        ) from error
