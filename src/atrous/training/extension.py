"""What is left of a run that is gone on with, and what another length or micro-batch does to it."""

from collections.abc import Sequence
from pathlib import Path

from torch.nn.modules.batchnorm import _BatchNorm

from atrous.errors import InputError, counted
from atrous.models import SegmentationModel
from atrous.training.checkpoints import Progress
from atrous.training.config import TrainConfig
from atrous.training.extension_record import begins_extension, lacks_report
from atrous.training.norm import held_norms
from atrous.training.plan import Plan
from atrous.training.run_folder import read_config
from atrous.training.schedules import lr_factor
from atrous.training.watch import Reporter, has_stopped

__all__ = [
    "is_finished",
    "refuse_reported",
    "tell_early_stop",
    "tell_new_length",
    "tell_new_micro_batch",
    "tell_repeated",
]


def is_finished(config: TrainConfig, earlier: Progress | None) -> bool:
    """Return whether a run has nothing left to train.

    Args:
        config: Of the run, with what was typed now.
        earlier: What its checkpoint says; None: there is none.
    """
    if config.resume is None or config.iterations is None or earlier is None:
        return False
    stored = read_config(config.resume)
    is_extended = stored.iterations != config.iterations or begins_extension(
        config.resume, stored, earlier.step
    )
    has_waited = has_stopped(earlier.scores, config.patience, earlier.patient_since)
    return earlier.step >= config.iterations or (has_waited and not is_extended)


def refuse_reported(folder: Path, config: TrainConfig, done: int) -> None:
    """Refuse to go on with a finished run whose report is there too.

    Raises:
        InputError: All of it is done.
    """
    if not (folder / "report.html").exists() or lacks_report(folder):
        return  # killed between the last step and its report: write it
    assert config.iterations is not None
    is_early = done < config.iterations
    how = ", stopped early" if is_early else ""
    more = f" (to {config.iterations + done}, with its patience again)" if is_early else ""
    raise InputError(
        f"{folder} is finished ({done} of {config.iterations} iterations{how}); "
        f"to train on: atrous train --resume {folder} --extend {done}{more}"
    )


def tell_early_stop(config: TrainConfig, step: int, reporter: Reporter) -> None:
    """Say of a run that is over at `step` why it did not take all of its iterations."""
    if config.iterations is not None and step < config.iterations:
        reporter.note(
            f"Length   stopped early at {step} of {config.iterations} iterations: "
            f"{counted(config.patience or 0, 'validation')} in a row without a better one "
            "(--patience); the best model is kept"
        )


def tell_repeated(folder: Path, config: TrainConfig, added: int, reporter: Reporter) -> None:
    """Say that an extension that is given again adds nothing again."""
    if read_config(folder).iterations == config.iterations:
        reporter.note(
            f"Length   {config.iterations} iterations: this extension by {added} has begun, so it "
            "goes on and nothing is added; to add more, give another number or --iterations"
        )


def tell_new_length(
    folder: Path, config: TrainConfig, plan: Plan, scores: Sequence[float], reporter: Reporter
) -> None:
    """Say what another number of iterations does to the learning rate of a run half done."""
    before = read_config(folder).iterations
    if before is None or before == plan.iterations:
        return
    old, new = (
        plan.lr
        * lr_factor(
            config.schedule,
            plan.done,
            steps,
            options=config.schedule_options,
            warmup=config.warmup,
            scores=scores,
        )
        for steps in (before, plan.iterations)
    )
    reporter.note(
        f"Length   {plan.iterations} iterations instead of {before}: the decay is planned anew, "
        f"so the learning rate goes from {old:.2g} to {new:.2g} at iteration {plan.done}"
    )


def tell_new_micro_batch(
    folder: Path, plan: Plan, model: SegmentationModel, reporter: Reporter
) -> None:
    """Say what another micro-batch does to a run half done: it matters where batch norm trains."""
    before = read_config(folder).micro_batch
    if before is None or before == plan.micro_batch:
        return
    norms = {module for module in model.modules() if isinstance(module, _BatchNorm)}
    is_trained = bool(norms - set(held_norms(model, plan.norm)))
    told = (
        f"batch norm sees {plan.normalised_together} images at a time from now on"
        if is_trained
        else "the same to rounding, but for the masks of dropout"
    )
    reporter.note(f"Batch    {plan.micro_batch} images at once instead of {before}: {told}")
