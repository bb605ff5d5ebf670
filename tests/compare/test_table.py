"""Rows from finished cells: means over seeds, intervals, what is left out and why."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.compare.cell import Cell
from atrous.compare.table import make_table
from atrous.compare.together import Latency
from atrous.compare.weighing import Weight
from atrous.evaluation import paired_bootstrap
from atrous.evaluation.calibration import confidence_bins, expected_calibration_error

TRUTH = np.array([[60, 40], [70, 30], [20, 80]])
FAST = Latency(5.0, 4.0, 6.0, 20)
LIGHT = Weight(10, 20, (8, 8), 30, 40)


def cell(name: str, seed: int, hits: np.ndarray, *, boundary: list[float], sure: float) -> Cell:
    missed = TRUTH - hits
    predicted = hits + missed[:, ::-1]
    iou = hits.sum(0) / (TRUTH + predicted - hits).sum(0)
    evaluation: dict[str, Any] = {
        "mean_iou": float(iou.mean()),
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.8,
        "frequency_weighted_iou": None,
        "iou": iou.tolist(),
        "has_learnt": True,
        "names": ["a", "b"],
        "baseline_mean_iou": 0.25,
        "baseline_class": "a",
    }
    facts = {
        "network": name,
        "encoder": None,
        "model": str(Path("runs") / name),
        "evaluation": evaluation,
        "steps": 7,
        "images_seen": 28,
        "train_seconds": 10.0 + seed,
    }
    bins = [confidence_bins(np.full(4, sure), np.zeros(4), np.array([0, 0, 0, 1]))] * 3
    return Cell(name, seed, facts, (hits, TRUTH, predicted), np.array(boundary), np.stack(bins))


def table_of(cells: dict[str, list[Cell]], **failures: dict[int | None, str]) -> Any:
    return make_table(
        cells,
        starts=dict.fromkeys(cells, "random"),
        latency=dict.fromkeys(cells, FAST),
        weights=dict.fromkeys(cells, LIGHT),
        failures=failures,
    )


@pytest.fixture
def cells() -> dict[str, list[Cell]]:
    nan = math.nan
    return {
        "low": [
            cell("low", 0, TRUTH - 10, boundary=[0.2, nan, 0.6], sure=0.85),
            cell("low", 1, TRUTH - 12, boundary=[0.4, nan, 0.6], sure=0.95),
        ],
        "high": [cell("high", 0, TRUTH - 5, boundary=[0.9, 0.9, 0.9], sure=0.75)],
    }


def test_a_row_is_the_mean_over_its_seeds(cells: dict[str, list[Cell]]) -> None:
    found = table_of(cells)

    assert [row.name for row in found.rows] == ["high", "low"]  # the best first
    low = found.rows[1]
    scores = [each.facts["evaluation"]["mean_iou"] for each in cells["low"]]
    assert low.by_seed == tuple(scores)
    assert low.mean_iou == pytest.approx(sum(scores) / 2)
    assert low.spread == pytest.approx(abs(scores[0] - scores[1]) / math.sqrt(2))
    assert low.interval[0] < low.mean_iou < low.interval[1]
    assert low.boundary_f1 == pytest.approx((0.3 + 0.6) / 2)  # the void image is in no mean
    assert low.calibration_error == pytest.approx((0.10 + 0.20) / 2)  # right 3 times of 4
    assert (low.seeds, low.steps, low.images_seen) == ((0, 1), 7, 28)
    assert low.train_seconds == pytest.approx(10.5)
    assert math.isnan(low.other_scores["frequency_weighted_iou"])
    assert math.isnan(found.rows[0].spread)
    assert found.baseline == (0.25, "a")


def test_the_calibration_error_of_one_seed_is_that_of_the_summed_bins(
    cells: dict[str, list[Cell]],
) -> None:
    (only,) = cells["high"]

    found = table_of({"high": [only], "low": cells["low"]}).rows[0]

    assert found.calibration_error == expected_calibration_error(only.confidence.sum(0))


def test_with_one_seed_each_a_pair_is_the_paired_bootstrap_of_the_evaluation(
    cells: dict[str, list[Cell]],
) -> None:
    low, high = cells["low"][0], cells["high"][0]

    (pair,) = table_of({"low": [low], "high": [high]}).differences

    expected = paired_bootstrap(high.counts, low.counts)
    assert (pair.first, pair.second) == ("low", "high")
    assert pair.gain == pytest.approx(expected.value)
    assert pair.interval == pytest.approx(expected.interval)
    assert math.isnan(pair.p)  # three images are too few for one


def test_a_failed_seed_is_a_remark_and_a_failed_network_a_reason(
    cells: dict[str, list[Cell]],
) -> None:
    found = table_of(
        cells,
        low={2: "out of memory"},
        gone={0: "its process was killed", 1: "its process was killed"},
    )

    assert found.rows[1].remarks == ("seed 2 failed: out of memory",)
    assert found.rows[0].remarks == ()
    assert found.failed == {"gone": "its process was killed"}
    assert found.between("high", "low") is found.between("low", "high")


def test_a_run_that_was_trained_further_is_a_remark(cells: dict[str, list[Cell]]) -> None:
    first, second = cells["low"]
    further = dataclasses.replace(second, facts={**second.facts, "planned_steps": 5})

    assert table_of({**cells, "low": [first, further]}).rows[1].remarks == (
        "seed 1 was trained 2 steps beyond the budget of the others",
    )


def test_one_seed_that_has_not_learnt_does_not_condemn_a_network_whose_mean_has(
    cells: dict[str, list[Cell]],
) -> None:
    idle = cell("low", 2, TRUTH - 20, boundary=[0.1] * 3, sure=0.9)
    idle.facts["evaluation"] |= {"has_learnt": False, "mean_iou": 0.25}  # type: ignore[operator]

    mixed = table_of({"low": [*cells["low"], idle], "high": cells["high"]})
    only = table_of({"low": [idle], "high": cells["high"]})

    assert [row.has_learnt for row in mixed.rows] == [True, True]
    assert [row.has_learnt for row in only.rows] == [True, False]
