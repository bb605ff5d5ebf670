"""What happens beside the steps: validation, the best model, the journal, whoever is watching."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import lightning
from torch.utils.tensorboard import SummaryWriter

from atrous.data import DataSpec
from atrous.errors import InputError
from atrous.evaluation import Evaluation, evaluate
from atrous.files import write_text
from atrous.inference import Predictor
from atrous.training.plan import Plan
from atrous.training.ranks import Ranks
from atrous.training.schedules import validations_without_gain

__all__ = ["Journal", "Reporter", "Silent", "Watch", "has_stopped"]


class Reporter(Protocol):
    """Whoever watches a run: the terminal, a notebook, a test."""

    def plan(self, plan: Plan) -> None:
        """What will be done, before the first step."""

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        """One optimizer step is done."""

    def validation(self, step: int, *, mean_iou: float, best: bool) -> None:
        """The validation split has been scored."""

    def scoring(self, done: int, total: int) -> None:
        """After the last step: so many of the images that the final score is taken on are done."""

    def note(self, text: str) -> None:
        """Something the user should know, in one line."""


class Silent:
    """A reporter that says nothing."""

    def plan(self, plan: Plan) -> None:
        """Say nothing."""

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        """Say nothing."""

    def validation(self, step: int, *, mean_iou: float, best: bool) -> None:
        """Say nothing."""

    def scoring(self, done: int, total: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Journal:
    """`metrics.jsonl` and TensorBoard events of a run; a resumed run goes on where it stopped.

    Args:
        folder: The run folder.
        start: Steps already done; lines of later steps, written before a kill, are dropped.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.path = folder / "metrics.jsonl"
        if self.path.exists():
            write_text(self.path, "".join(_whole_lines(self.path, start)))
        self.board = SummaryWriter(str(folder), purge_step=start + 1)

    def write(self, step: int, split: str, values: dict[str, Any]) -> None:
        """Add a line, and a point to each of its curves."""
        line = json.dumps({"step": step, "split": split, **values})
        with self.path.open("a") as file:
            file.write(line + "\n")
        for name, value in values.items():
            if isinstance(value, float):
                self.board.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flush the TensorBoard events."""
        self.board.close()


class Watch(lightning.Callback):
    """After each step: tell of it; now and then score the validation split and keep the best model.

    The score is that of the predictor that ships, on the live model: the figure is the one that
    `atrous evaluate` gives for the saved model.

    Args:
        spec: The data.
        every: Steps between two validations; the last step is validated in any case.
        predictor: Built on the live model.
        best: The score to beat.
        keep: Called with the evaluation and the step whenever it is the best so far.
        journal: Gets a line per validation and for at most a thousand or so steps; None in every
            process but the first.
        reporter: Is told of everything.
        patience: Validations without a better one after which the run ends; None: never.
        ranks: The processes of the run; the first one validates and writes for all.
    """

    def __init__(  # noqa: PLR0913 - all that is looked at and told
        self,
        spec: DataSpec,
        *,
        every: int,
        predictor: Predictor,
        best: float,
        keep: Callable[[Evaluation, int], None],
        journal: Journal | None,
        reporter: Reporter,
        patience: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.spec = spec
        self.every = every
        self.predictor = predictor
        self.keep = keep
        self.journal = journal
        self.reporter = reporter
        self.best = best
        self.patience = patience
        self.ranks = ranks or Ranks()
        self.begin = time.monotonic()
        self.seconds = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock; a run that had stopped early and is extended has its patience again."""
        if has_stopped(pl_module.scores, self.patience, pl_module.patient_since):
            pl_module.patient_since = len(pl_module.scores)
        self.begin = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report the step, validate if it is time; validation is not on the step's clock."""
        step = trainer.global_step
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} at iteration {step}; start again with --lr "
                f"{pl_module.lr / 10:.2g} (this run began with {pl_module.lr:.2g})"
            )
        took = time.monotonic() - self.begin
        self.seconds = 0.9 * self.seconds + 0.1 * took if self.seconds else took
        rate = self.ranks.world * len(batch[0]) / max(self.seconds, 1e-9)
        self.reporter.step(step, loss=loss, images_per_second=rate)
        if self.journal is not None and step % max(1, int(trainer.max_steps) // 1000) == 0:
            figures = {"loss": loss, **pl_module.figures, "lr": pl_module.rate}
            figures |= {"img_per_s": rate, "seconds": took}
            self.journal.write(step, "train", figures)
        if step % self.every == 0 or step == trainer.max_steps:
            score = self.validate(step) if self.ranks.is_first else 0.0
            pl_module.scores.append(self.ranks.of_first(score))
            if has_stopped(pl_module.scores, self.patience, pl_module.patient_since):
                trainer.should_stop = True
        self.begin = time.monotonic()

    def validate(self, step: int) -> float:
        """Score the split, on the best figure so far keep the model, and return the mean IoU."""
        begin = time.monotonic()
        result = evaluate(self.predictor, self.spec, "val")
        better = result.mean_iou > self.best
        if better:
            self.best = result.mean_iou
            self.keep(result, step)
        figures = {"mean_iou": result.mean_iou, "pixel_accuracy": result.pixel_accuracy}
        seconds = time.monotonic() - begin
        assert self.journal is not None  # the first process validates
        self.journal.write(step, "val", {**figures, "iou": list(result.iou), "seconds": seconds})
        self.reporter.validation(step, mean_iou=result.mean_iou, best=better)
        return result.mean_iou


def has_stopped(scores: Sequence[float], patience: int | None, since: int = 0) -> bool:
    """Return whether the validations of a run have brought nothing better for long enough.

    Args:
        scores: Of all validations.
        patience: So many without gain are enough; None: none are.
        since: Validations that do not count: those before a run that had stopped was extended.
    """
    waited = min(validations_without_gain(scores), len(scores) - since)
    return patience is not None and waited >= patience


def _whole_lines(path: Path, last_step: int) -> list[str]:
    """Return the journal's lines up to `last_step`; a line cut by a kill is dropped."""
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        with contextlib.suppress(json.JSONDecodeError):
            if line.endswith("\n") and json.loads(line)["step"] <= last_step:
                kept.append(line)
    return kept
