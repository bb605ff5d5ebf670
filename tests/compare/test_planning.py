"""The plan: what a budget pays for, in which order the cells come, how far all of it has come."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from atrous.compare.apart import WorkFailed
from atrous.compare.comparison import _weights, compare
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.compare.folder import Folder
from atrous.compare.plan import Plan, check_budget, make_plan
from atrous.compare.planning import (
    PLAN_SECONDS,
    TOGETHER_SECONDS,
    WEIGH_SECONDS,
    Course,
    Planned,
    check_split,
)
from atrous.data import open_data, write_scenes
from atrous.errors import InputError


class Quiet:
    """Nobody watches."""

    def progress(self, done: float, total: float, what: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def plan(iterations: int = 10, train_seconds: float = 60.0, score_seconds: float = 6.0) -> Plan:
    return Plan(
        iterations=iterations,
        val_every=1,
        micro_batch=4,
        lr=0.01,
        start="random",
        train_seconds=train_seconds,
        score_seconds=score_seconds,
        memory_bytes=10**9,
        parameters=10**6,
    )


def test_minutes_that_do_not_pay_for_a_step_of_the_slowest_are_refused() -> None:
    config = CompareConfig(data=Path("d"), minutes=0.1)
    plans = {"quick": plan(5, 6.0), "slow": plan(1, 13.0), "slower": plan(1, 31.0)}

    with pytest.raises(InputError) as raised:
        check_budget(plans, config)

    assert str(raised.value) == (
        "--minutes 0.1 does not pay for one step of slower: a step and its scoring take 31.0 s "
        "here; give --minutes 0.6 or more, or leave it out"
    )


def test_the_budget_that_a_refusal_asks_for_is_accepted_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "scenes", {"train": 2, "val": 2}, size=(48, 64), seed=3)
    spec = open_data(tmp_path / "scenes")

    def measured(work: object, config: CompareConfig, *_: object, **__: object) -> object:
        if work is not make_plan:
            raise WorkFailed("the training began")
        return plan(1, 31.0)

    monkeypatch.setattr("atrous.compare.planning.apart", measured)
    monkeypatch.setattr("atrous.compare.comparison.apart", measured)

    def typed(minutes: float) -> CompareConfig:
        out = tmp_path / "out"
        return CompareConfig(data=spec.root, models=("unet",), minutes=minutes, out=out)

    with pytest.raises(InputError, match=r"give --minutes 0\.6 or more"):
        compare(typed(0.1), spec, Quiet())
    with pytest.raises(InputError, match="the training began"):
        compare(typed(0.6), spec, Quiet())


def test_a_network_that_cannot_be_weighed_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weighed(config: object, place: object, entry: Entry, *_: object) -> str:
        if entry.name == "b":
            raise WorkFailed("out of memory")
        return "light"

    monkeypatch.setattr("atrous.compare.comparison._weighed", weighed)
    planned = Planned((Entry("a"), Entry("b"), Entry("c")), {})
    cells: Any = {"a": [None], "b": [None]}
    config = CompareConfig(data=tmp_path)

    found = _weights(config, Folder(tmp_path), planned, cells, Course(Quiet(), 1))

    assert found == {"a": "light"}
    assert planned.failures == {"b": {None: "it cannot be weighed: out of memory"}}


def test_a_split_without_a_labelled_pixel_is_refused_beforehand(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", {"train": 2, "val": 2, "test": 2}, size=(48, 64), seed=3)
    spec = open_data(tmp_path / "scenes")
    nothing = dataclasses.replace(
        spec.statistics["test"], pixels=(0,) * len(spec.statistics["test"].pixels)
    )
    void = dataclasses.replace(spec, statistics={**spec.statistics, "test": nothing})

    check_split(spec, "test")
    with pytest.raises(InputError, match=r"every mask of test in .* is void, so .* --split"):
        check_split(void, "test")


def test_one_step_that_fits_and_other_budgets_are_accepted() -> None:
    check_budget({"a": plan(1, 5.0)}, CompareConfig(data=Path("d"), minutes=0.1))
    check_budget({"a": plan(1, 500.0)}, CompareConfig(data=Path("d"), iterations=1))


def test_a_plan_is_what_was_written_of_it() -> None:
    assert Plan.from_json(plan().to_json()) == plan()
    with pytest.raises(TypeError):
        Plan.from_json({"iterations": 3})


def test_every_network_has_its_turn_before_the_second_seed_of_any() -> None:
    entries = (Entry("a", "unet"), Entry("runs/b", model=Path("runs/b/model")), Entry("c", "fcn8s"))
    planned = Planned(
        entries, {"a": plan(), "runs/b": plan(0, 0.0)}, {"c": {None: "it cannot be trained"}}
    )

    found = [(entry.name, seed) for entry, seed in planned.cells(2)]

    assert found == [("runs/b", None), ("a", 0), ("a", 1)]


def test_the_forecast_counts_measuring_weighing_and_timing_beside_the_cells() -> None:
    entries = (Entry("a", "unet"), Entry("runs/b", model=Path("runs/b/model")), Entry("c", "fcn8s"))
    planned = Planned(entries, {"a": plan(), "runs/b": plan(0, 0.0)})  # c cannot be trained

    (scored, first, second) = planned.cells(2)

    follows = 2 * WEIGH_SECONDS + TOGETHER_SECONDS
    assert planned.left([scored, first, second]) == 6 + 66 + 66 + follows
    assert planned.left([second]) == 66 + follows
    assert planned.left([]) == follows
    assert planned.seconds(2) == 3 * PLAN_SECONDS + planned.left(planned.cells(2))


def test_the_bar_of_a_run_counts_to_what_the_plan_has_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "scenes", {"train": 2, "val": 2}, size=(48, 64), seed=3)
    spec = open_data(tmp_path / "scenes")
    totals: set[float] = set()
    announced: list[Planned] = []

    class Watcher(Quiet):
        def progress(self, done: float, total: float, what: str) -> None:
            totals.add(total)

    def measured(work: object, *_: object, **__: object) -> object:
        if work is not make_plan:
            raise WorkFailed("the training began")
        return plan()

    monkeypatch.setattr("atrous.compare.planning.apart", measured)
    monkeypatch.setattr("atrous.compare.comparison.apart", measured)
    config = CompareConfig(data=spec.root, models=("unet",), seeds=2, out=tmp_path / "out")

    with pytest.raises(InputError, match="every network failed"):
        compare(config, spec, Watcher(), announced.append)

    (planned,) = announced
    assert totals == {PLAN_SECONDS, planned.seconds(2) - PLAN_SECONDS}


def test_the_course_counts_pieces_of_work_by_their_forecast() -> None:
    told: list[tuple[float, float, str]] = []

    class Watcher:
        def progress(self, done: float, total: float, what: str) -> None:
            told.append((done, total, what))

        def note(self, text: str) -> None:
            told.append((0, 0, text))

    course = Course(Watcher(), 100)
    course.tell("1/2 a", 60)("iteration 3/6", 0.5)
    course.finished("1/2 a", 60)
    course.tell("2/2 b", 40)("scoring", 0.25)
    course.note("b failed")

    assert told == [
        (30, 100, "1/2 a: iteration 3/6"),
        (60, 100, "1/2 a: done"),
        (70, 100, "2/2 b: scoring"),
        (0, 0, "b failed"),
    ]
