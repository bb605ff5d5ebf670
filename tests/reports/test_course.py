"""The charts of a run: an adversary's only where there was one."""

import math
from pathlib import Path

from atrous.reports.course import course_charts
from atrous.reports.run_record import RunRecord, TrainPoint


def titles(*accuracies: float) -> list[str]:
    train = tuple(TrainPoint(n + 1, 1.0, 0.1, value) for n, value in enumerate(accuracies))
    record = RunRecord(Path("run"), {}, {}, train, ())
    return [chart.title for chart in course_charts(record, 0.1, "all road")]


def test_how_often_an_adversary_was_right_is_drawn_beside_guessing() -> None:
    assert titles(math.nan, 0.5, 1.0) == ["Loss", "Learning rate", "Adversary: told rightly"]
    train = (TrainPoint(1, 1.0, 0.1), TrainPoint(2, 1.0, 0.1, 0.25), TrainPoint(3, 1.0, 0.1, 1.0))
    chart = course_charts(RunRecord(Path("run"), {}, {}, train, ()), 0.1, "all road")[-1]
    assert chart.lines[0].points == ((2, 0.25), (3, 1.0))  # steps before its time are left out
    assert chart.level is not None
    assert chart.key == (("level", "guessing"),)


def test_a_run_without_adversary_has_no_such_chart() -> None:
    assert titles(math.nan, math.nan) == ["Loss", "Learning rate"]
