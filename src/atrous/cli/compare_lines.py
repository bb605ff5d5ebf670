"""How a comparison looks on the terminal: the plan, a bar over all cells, the table."""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from atrous.cli.console import Progress, parameters, progress, say, size, table
from atrous.cli.progress import duration
from atrous.evaluation.protocol_line import protocol_line

if TYPE_CHECKING:
    from atrous.compare import CompareConfig, Compared, Planned
    from atrous.compare.table import Row, Table

__all__ = ["Terminal", "plan_content", "plan_lines", "result_lines", "watching"]


MOST_OFF = 4.0
"""So many times slower or faster than forecast the first minutes may make all of it seem."""


class Terminal:
    """Shows how far a comparison has come, in thousandths of the work that was forecast."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._begin = time.monotonic()
        self._done = 0.0

    def progress(self, done: float, total: float, what: str) -> None:
        """Move the bar; the time left is the forecast's, at the pace of the work so far."""
        if done < self._done:  # the plan is made, the work begins
            self._begin = time.monotonic()
        self._done = done
        pace = (time.monotonic() - self._begin) / done if done else 1.0
        left = (total - done) * min(max(pace, 1 / MOST_OFF), MOST_OFF)
        self._bar(round(1000 * done / max(total, 1e-9)), 1000, note=what, left=left)

    def note(self, text: str) -> None:
        """Print a line."""
        say(text)


@contextlib.contextmanager
def watching() -> Iterator[Terminal]:
    """Show the progress of the block."""
    with progress(1000, "parts", unit="") as bar:
        yield Terminal(bar)


def plan_lines(planned: "Planned", config: "CompareConfig") -> str:
    """Return the plan: what each network will do, and how long all of it takes."""
    rows: list[tuple[str, ...]] = [
        ("network", "start", "parameters", "iterations", "images seen", "time", "memory")
    ]
    for name, plan in planned.plans.items():
        steps = plan.iterations
        rows.append(
            (
                name,
                {"random": "from scratch"}.get(plan.start, plan.start),
                parameters(plan.parameters),
                str(steps or "-"),
                str(steps * config.batch_size or "-"),
                duration(plan.seconds),
                size(plan.memory_bytes) if plan.memory_bytes else "-",
            )
        )
    lines = [table(rows, right=(2, 3, 4, 5, 6))]
    lines += [f" {name} fails: {why[None]}" for name, why in planned.failures.items()]
    lines += [f" {name}: {note}" for name, plan in planned.plans.items() for note in plan.notes]
    cells = len(planned.cells(config.seeds))
    lines.append(
        f"{cells} cell{'s' * (cells != 1)}, about {duration(planned.seconds(config.seeds))} in all"
    )
    return "\n".join(lines)


def plan_content(planned: "Planned", config: "CompareConfig") -> dict[str, object]:
    """Return the plan for `--json`."""
    return {
        "plans": {name: plan.to_json() for name, plan in planned.plans.items()},
        "failed": {name: why[None] for name, why in planned.failures.items()},
        "cells": len(planned.cells(config.seeds)),
        "seconds": planned.seconds(config.seeds),
    }


def result_lines(compared: "Compared") -> str:
    """Return the table, what failed, the protocol, and what we would take."""
    from atrous.compare.record import protocol_of

    found = compared.table
    rows: list[tuple[str, ...]] = [
        ("network", "mIoU", "95 % interval", "boundary F1", "ECE", "ms/image", "MB", "")
    ]
    rows += [_cells(row, found) for row in found.rows]
    lines = [table(rows, right=(1, 3, 4, 5, 6))]
    lines += [f" {name}  failed: {reason}" for name, reason in found.failed.items()]
    lines += [f" {row.name}  {remark}" for row in found.rows for remark in row.remarks]
    lines += [f" {lack}" for lack in [compared.together.lack] if lack]
    lines.append(protocol_line(protocol_of(compared)))
    return "\n".join([*lines, *compared.verdict.sentences])


def _cells(row: "Row", found: "Table") -> tuple[str, ...]:
    low, high = row.interval
    spread = f" +-{row.spread:.3f}" if len(row.seeds) > 1 else ""
    ms = row.milliseconds
    return (
        row.name,
        f"{row.mean_iou:.3f}{spread}",
        f"{low:.3f}-{high:.3f}",
        f"{row.boundary_f1:.2f}",
        f"{row.calibration_error:.3f}",
        f"{ms:.{0 if ms >= 9.95 else 1}f}" if row.latency else "-",
        f"{row.weight.memory_bytes / 1e6:.0f}",
        _mark(row, found),
    )


def _mark(row: "Row", found: "Table") -> str:
    """Say of a row that is not the best how it stands to the best."""
    from atrous.compare.verdict import WORTH, as_good, times, why_equal

    best = found.best
    if best is None or not row.has_learnt:
        return "<- has learnt nothing yet"
    if row is best or row not in as_good(found):
        return ""
    between = found.between(best.name, row.name)
    faster = best.milliseconds / row.milliseconds  # NaN where nothing was timed
    speed = f", {times(faster)} as fast" if faster > WORTH else ""
    return f"<- as good ({why_equal(between)}){speed}"
