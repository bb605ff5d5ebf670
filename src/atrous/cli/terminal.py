"""How a training run looks on the terminal: the plan, a bar, the scores as they come."""

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

from atrous.cli.console import Progress, progress, say, size
from atrous.cli.progress import duration

if TYPE_CHECKING:
    from atrous.training.plan import Plan

__all__ = ["TerminalReporter"]


class TerminalReporter:
    """Shows a run; use it as a context, so that the bar is closed whatever happens."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._bar: Progress | None = None
        self._scoring: Progress | None = None
        self._score = ""

    def __enter__(self) -> "TerminalReporter":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        self._stack.close()

    def plan(self, plan: "Plan") -> None:
        """Say what will be done and what it will cost, and start the bar."""
        self._stack.close()  # of the phase before
        self._scoring, self._score = None, ""
        height, width = plan.crop
        left = plan.iterations - plan.done
        say(
            f"Plan     batch {plan.batch_size}{_cut(plan)}, crops {height}x{width}, "
            f"{plan.optimizer} lr {plan.lr:g} {plan.schedule}{_NORM[plan.norm]}, "
            f"{plan.precision} on {plan.device}; {left} iterations, "
            f"about {duration(plan.seconds)}, {size(plan.memory_bytes)}{_kept(plan)}"
        )
        bar = progress(plan.iterations, "iteration", unit="", done=plan.done)
        self._bar = self._stack.enter_context(bar)

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar(step, note=f"loss {loss:.2f}{self._score}  {images_per_second:.1f} img/s")

    def validation(self, step: int, *, mean_iou: float, best: bool) -> None:
        """Remember the score for the bar."""
        self._score = f"  mIoU {mean_iou:.3f}"

    def scoring(self, done: int, total: int) -> None:
        """Move a bar of its own, below that of the steps."""
        if self._scoring is None:
            self._stack.close()
            self._scoring = self._stack.enter_context(progress(total, "scoring"))
        self._scoring(done, total)

    def note(self, text: str) -> None:
        """Print a line."""
        say(text)


_NORM = {
    "auto": "",
    "train": "",
    "fixed_encoder": ", encoder's norms fixed (too few images together)",
    "fixed": ", norms fixed",
    "frozen": ", norms frozen",
}


def _kept(plan: "Plan") -> str:
    """Say where decoded images are kept."""
    if plan.cache == "none":
        return ""
    place = {"memory": "in memory", "disk": "on disk"}.get(plan.cache, f"on {plan.device}")
    return f"; decoded images {place} ({size(plan.cache_bytes)})"


def _cut(plan: "Plan") -> str:
    """Say how a batch is cut: " = 2 processes x 2 x 4 accumulated"."""
    share = -(-plan.batch_size // plan.processes)
    parts = -(-share // plan.micro_batch)
    shared = f"{plan.processes} processes x " if plan.processes > 1 else ""
    if parts > 1:
        return f" = {shared}{parts} x {plan.micro_batch} accumulated"
    return f" = {shared}{share}" if shared else ""
