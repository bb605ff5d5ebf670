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
        height, width = plan.crop
        parts = -(-plan.batch_size // plan.micro_batch)
        cut = f" = {parts} x {plan.micro_batch} accumulated" if parts > 1 else ""
        left = plan.iterations - plan.done
        say(
            f"Plan     batch {plan.batch_size}{cut}, crops {height}x{width}, {plan.optimizer} "
            f"lr {plan.lr:g} poly, {plan.precision} on {plan.device}; {left} iterations, "
            f"about {duration(plan.seconds)}, {size(plan.memory_bytes)}"
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
