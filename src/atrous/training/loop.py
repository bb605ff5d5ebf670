"""The optimizer's loop: Lightning's trainer, set up so that every step can be gone on from."""

import dataclasses
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning

from atrous.data import DataSpec
from atrous.errors import InputError, is_out_of_memory
from atrous.evaluation import Evaluation
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.adversarial_task import task_kind
from atrous.training.best import Best, save_best
from atrous.training.checkpoints import KeepLast, WholeFileIO
from atrous.training.class_weights import class_weights
from atrous.training.config import TrainConfig
from atrous.training.environment import read_environment
from atrous.training.loader import file_named, loader
from atrous.training.plan import Plan
from atrous.training.protocol import Protocol
from atrous.training.ranks import Ranks
from atrous.training.shared import StopRequest, shared_strategy
from atrous.training.watch import Journal, Reporter, Watch, has_stopped
from atrous.weights import class_tensors

__all__ = ["make_trainer", "memory_named", "train"]


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
def memory_named(plan: Plan) -> Iterator[None]:
    """Say which option to lower when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = plan.crop
        remedies = ["--crop"] if not plan.done else []  # it cannot change in the middle of a run
        if (smaller := plan.micro_batch // 2) > 0:
            remedies.insert(0, f"--micro-batch to {smaller} (the result stays nearly the same)")
        remedy = f"lower {' or '.join(remedies)}" if remedies else "close other programs"
        raise InputError(
            f"out of memory with {plan.micro_batch} crops of {height}x{width} at once; {remedy}"
        ) from error
