"""`atrous compare` from configuration to verdict: plan, train, score, weigh, time, judge."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.compare.apart import WorkFailed, apart
from atrous.compare.cell import Cell, read_cell, run_cell
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry, entries_of
from atrous.compare.folder import Folder, default_out, open_folder
from atrous.compare.planning import (
    TOGETHER_SECONDS,
    WEIGH_SECONDS,
    Course,
    Planned,
    Watcher,
    check_split,
    plan_comparison,
)
from atrous.compare.table import Table, make_table
from atrous.compare.together import Together, run_together
from atrous.compare.verdict import Verdict, take
from atrous.compare.weighing import Weight, weigh
from atrous.data import DataSpec
from atrous.errors import InputError
from atrous.training.sound_data import sound

__all__ = ["Compared", "compare"]


@dataclass(frozen=True)
class Compared:
    """What a comparison left behind.

    Attributes:
        folder: Where all of it lies.
        table: The figures.
        verdict: What we would take.
        together: Speeds, and the images with all answers.
        cells: Name -> its finished cells.
        planned: What was to be done, and what of it failed.
    """

    folder: Path
    table: Table
    verdict: Verdict
    together: Together
    cells: Mapping[str, Sequence[Cell]]
    planned: Planned


def compare(
    config: CompareConfig,
    spec: DataSpec,
    watcher: Watcher,
    announce: Callable[[Planned], None] = lambda planned: None,
) -> Compared:
    """Do all of it, or what an earlier session has left.

    Args:
        config: What to compare.
        spec: The data.
        watcher: Is told how far it has come.
        announce: Is told the plan, before the first training.

    Raises:
        InputError: A name, the data, the folder or the budget will not do, or every cell failed.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    entries = entries_of(config)  # misspelt names, before a folder is made
    needed = ("train", "val") if any(entry.model is None for entry in entries) else ()
    check_split(sound(spec, config.skip_bad, needed), config.split)
    place = open_folder(config.out or default_out(config), config, spec)
    planned = plan_comparison(config, spec, place.path, watcher)
    announce(planned)
    todo = planned.cells(config.seeds)
    left = [each for each in todo if read_cell(place.cell(*each), each[0]) is None]
    course = Course(watcher, planned.left(left))
    cells = _finished_cells(config, spec, place, planned, course)
    weights = _weights(config, place, planned, cells, course)
    cells = {name: each for name, each in cells.items() if name in weights}
    if not cells:
        name, failures = next(iter(planned.failures.items()))
        raise InputError(f"every network failed; {name}: {next(iter(failures.values()))}")
    together = _together(config, place, cells, course)
    table = make_table(
        cells,
        starts={name: planned.plans[name].start for name in cells},
        latency=together.latency,
        weights=weights,
        failures=planned.failures,
    )
    return Compared(place.path, table, take(table), together, cells, planned)


def _together(
    config: CompareConfig, place: Folder, cells: Mapping[str, Sequence[Cell]], course: Course
) -> Together:
    """Return what all models together tell, or why they do not: the scores stand without it."""
    try:
        return apart(
            run_together,
            config,
            [each[0] for each in cells.values()],
            log=place.path / "together.log",
            tell=course.tell("all networks", TOGETHER_SECONDS),
        )
    except WorkFailed as failure:
        return Together({}, (), str(failure))


def _finished_cells(
    config: CompareConfig, spec: DataSpec, place: Folder, planned: Planned, course: Course
) -> dict[str, list[Cell]]:
    """Finish what is not finished; return the cells of every network that has one.

    A cell that fails is remembered in `planned.failures`, and the next one has its turn.
    """
    todo = planned.cells(config.seeds)
    found: dict[str, list[Cell]] = {}
    for number, (entry, seed) in enumerate(todo, start=1):
        plan, folder = planned.plans[entry.name], place.cell(entry, seed)
        of_seed = "" if seed is None or config.seeds == 1 else f" seed {seed}"
        what = f"{number}/{len(todo)} {entry.name}{of_seed}"
        cell = read_cell(folder, entry)
        if cell is None:  # not finished by an earlier session
            try:
                apart(
                    run_cell,
                    *(config, entry, seed or 0, plan, folder, spec.fingerprint),
                    log=folder.with_suffix(".log"),
                    tell=course.tell(what, plan.seconds),
                )
                cell = read_cell(folder, entry)
                assert cell is not None
            except WorkFailed as failure:
                planned.failures.setdefault(entry.name, {})[seed] = str(failure)
                course.note(f"{entry.name}{of_seed} failed: {failure}")
            course.finished(what, plan.seconds)
        if cell is not None:
            found.setdefault(entry.name, []).append(cell)
    return {entry.name: found[entry.name] for entry in planned.entries if entry.name in found}


def _weights(
    config: CompareConfig,
    place: Folder,
    planned: Planned,
    cells: Mapping[str, Sequence[Cell]],
    course: Course,
) -> dict[str, Weight]:
    """Weigh every network; one that cannot be weighed is remembered in `planned.failures`."""
    weights: dict[str, Weight] = {}
    for entry in planned.entries:
        if entry.name not in cells:
            continue
        try:
            weights[entry.name] = _weighed(config, place, entry, cells[entry.name][0], course)
        except WorkFailed as failure:
            why = f"it cannot be weighed: {failure}"
            planned.failures.setdefault(entry.name, {})[None] = why
            course.note(f"{entry.name} failed: {why}")
    return weights


def _weighed(
    config: CompareConfig, place: Folder, entry: Entry, cell: Cell, course: Course
) -> Weight:
    """Return what a network weighs, from its first cell: all seeds weigh the same."""
    weight = place.kept(
        place.network(entry) / "weight.json",
        Weight.from_json,
        lambda: apart(
            weigh,
            config,
            cell.model,
            log=place.network(entry) / "weight.log",
            tell=course.tell(entry.name, WEIGH_SECONDS),
        ),
    )
    course.finished(entry.name, WEIGH_SECONDS)
    return weight
