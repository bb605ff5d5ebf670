"""A cell on the disk: what is read of it, and when its scores are no longer those of its model."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.compare.cell import Cell, read_cell, run_cell
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.compare.plan import Plan
from atrous.data import DataSpec, open_data, write_scenes
from atrous.models import build_model
from atrous.training import TrainConfig, fit
from atrous.weights import read_model_config, save

ENTRY = Entry("segnet_basic", "segnet_basic")
PLAN = Plan(1, 1, 2, 0.01, "random", 1.0, 1.0, 10**9, 10**6)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 2, "val": 2}, size=(48, 64), seed=3)
    return open_data(folder)


@pytest.fixture
def scored(spec: DataSpec, tmp_path: Path) -> Callable[[], Cell]:
    """Train and score the cell in `tmp_path / "cell"`, or go on with it; read it."""
    config = CompareConfig(
        data=spec.root, batch_size=2, crop=48, precision="fp32", device="cpu", workers=0
    )

    def score() -> Cell:
        folder = tmp_path / "cell"
        run_cell(config, ENTRY, 0, PLAN, folder, spec.fingerprint, lambda what, share: None)
        cell = read_cell(folder, ENTRY)
        assert cell is not None
        return cell

    return score


def test_a_run_that_was_trained_further_is_scored_again_and_said_to_be_so(
    scored: Callable[[], Cell], spec: DataSpec, tmp_path: Path
) -> None:
    first = scored()
    assert (first.facts["steps"], first.further) == (1, 0)
    run = tmp_path / "cell" / "run"
    fit(TrainConfig(resume=run, extend=30))
    model = read_model_config(run / "model").fingerprint
    assert model != first.facts["model_fingerprint"]  # or nothing is stale

    assert read_cell(tmp_path / "cell", ENTRY) is None

    again = scored()
    assert again.facts["model_fingerprint"] == model
    assert (again.facts["steps"], again.further) == (31, 30)


def test_a_cell_without_its_model_is_not_finished(
    scored: Callable[[], Cell], tmp_path: Path
) -> None:
    scored()
    shutil.rmtree(tmp_path / "cell" / "run" / "model")

    assert read_cell(tmp_path / "cell", ENTRY) is None


def test_a_finished_model_that_was_replaced_is_scored_again(
    scored: Callable[[], Cell], spec: DataSpec, tmp_path: Path
) -> None:
    scored()
    entry = dataclasses.replace(ENTRY, network="", model=tmp_path / "cell" / "run" / "model")
    assert read_cell(tmp_path / "cell", entry) is not None

    other = build_model("segnet_basic", classes=len(spec.label_set))
    other.label_set = spec.label_set
    save(other, entry.model or tmp_path)

    assert read_cell(tmp_path / "cell", entry) is None
