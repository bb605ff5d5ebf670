"""The plan of a comparison: which cells there are, and what each will cost."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from atrous.compare.apart import Tell, WorkFailed, apart
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry, check_finished, entries_of
from atrous.compare.folder import Folder
from atrous.compare.plan import Plan, check_budget, make_plan
from atrous.data import DataSpec
from atrous.errors import InputError
from atrous.evaluation.loop import pairs_of

__all__ = ["Course", "Planned", "Watcher", "check_split", "plan_comparison"]

FEWEST_IMAGES = 2

PLAN_SECONDS, WEIGH_SECONDS, TOGETHER_SECONDS = 25.0, 15.0, 90.0
"""Forecasts of measuring a network, of weighing it, and of timing all of them in turn."""


class Watcher(Protocol):
    """Whoever watches a comparison."""

    def progress(self, done: float, total: float, what: str) -> None:
        """Seconds of forecast work that are done, of how many; what is being done."""

    def note(self, text: str) -> None:
        """Something the user should know, in one line."""


class Course:
    """How far all of the work has come, in seconds of its forecast."""

    def __init__(self, watcher: Watcher, total: float) -> None:
        self._watcher = watcher
        self._total = total
        self._done = 0.0

    def tell(self, what: str, seconds: float) -> Tell:
        """Return what a piece of work that was forecast to take `seconds` tells."""
        begun = self._done

        def told(doing: str, share: float) -> None:
            self._watcher.progress(begun + share * seconds, self._total, f"{what}: {doing}")

        return told

    def note(self, text: str) -> None:
        """Pass a line on."""
        self._watcher.note(text)

    def finished(self, what: str, seconds: float) -> None:
        """Count a piece of work as done."""
        self._done += seconds
        self._watcher.progress(self._done, self._total, f"{what}: done")


@dataclass(frozen=True)
class Planned:
    """What a comparison will do.

    Attributes:
        entries: Every network.
        plans: Name -> plan, without those that cannot be trained.
        failures: Name -> seed (None: all) -> why it failed.
    """

    entries: tuple[Entry, ...]
    plans: Mapping[str, Plan]
    failures: dict[str, dict[int | None, str]] = field(default_factory=dict)

    def cells(self, seeds: int) -> list[tuple[Entry, int | None]]:
        """Return all cells: finished models, then the first seed of every network, and so on."""
        planned = [entry for entry in self.entries if entry.name in self.plans]
        finished: list[tuple[Entry, int | None]] = [(e, None) for e in planned if e.model]
        trained = [entry for entry in planned if not entry.model]
        return finished + [(entry, seed) for seed in range(seeds) for entry in trained]

    def left(self, cells: Sequence[tuple[Entry, int | None]]) -> float:
        """Return the forecast of these cells, and of what follows them: weighing and timing."""
        work = sum(self.plans[entry.name].seconds for entry, _ in cells)
        return work + WEIGH_SECONDS * len(self.plans) + TOGETHER_SECONDS

    def seconds(self, seeds: int) -> float:
        """Return the forecast of all of it, this plan included."""
        return PLAN_SECONDS * len(self.entries) + self.left(self.cells(seeds))


def plan_comparison(
    config: CompareConfig, spec: DataSpec, folder: Path, watcher: Watcher
) -> Planned:
    """Measure what every network costs here; nothing is trained.

    Args:
        config: What to compare.
        spec: The data.
        folder: Where the measurements are kept, and found again.
        watcher: Is told how far it has come.

    Raises:
        InputError: A name, the data or the budget will not do, or no network can be trained.
    """
    entries = entries_of(config)
    check_split(spec, config.split)
    remarks = {
        entry.name: check_finished(entry, spec.fingerprint, spec.label_set.names)
        for entry in entries
        if entry.model is not None
    }
    plans: dict[str, Plan] = {}
    planned, place = Planned(entries, plans), Folder(folder)
    course = Course(watcher, PLAN_SECONDS * len(entries))
    for entry in entries:
        try:
            plans[entry.name] = place.kept(
                place.network(entry) / "plan.json",
                Plan.from_json,
                lambda entry=entry: apart(  # type: ignore[misc]  # mypy: a lambda's default
                    make_plan,
                    config,
                    entry,
                    log=place.network(entry) / "plan.log",
                    tell=course.tell(entry.name, PLAN_SECONDS),
                ),
            )
        except WorkFailed as failure:
            planned.failures[entry.name] = {None: str(failure)}
            watcher.note(f"{entry.name} fails: {failure}")
        else:
            plan = plans[entry.name]
            notes = (*plan.notes, *remarks.get(entry.name, ()))
            plans[entry.name] = dataclasses.replace(plan, notes=notes)
        course.finished(entry.name, PLAN_SECONDS)
    if not plans:
        name, why = next(iter(planned.failures.items()))
        raise InputError(f"none of the networks can be trained; {name}: {why[None]}")
    check_budget(plans, config)
    return planned


def check_split(spec: DataSpec, split: str) -> None:
    """Require images to compare on.

    Raises:
        InputError: No such split, fewer than two images, or no pixel to score in any.
    """
    count = len(pairs_of(spec, split))
    if count < FEWEST_IMAGES:
        raise InputError(
            f"{split} of {spec.root} holds {count} image, from which no interval and no difference "
            f"can be told; put more into {split}/images and {split}/masks, 30 or so"
        )
    if not any(spec.statistics[split].pixels):
        raise InputError(
            f"every mask of {split} in {spec.root} is void, so there is nothing to score; label "
            "some of them, or give another --split"
        )
