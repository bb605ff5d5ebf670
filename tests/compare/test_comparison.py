"""A whole comparison of finished models, in one process: what it leaves when a part of it fails."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.cli.main import main
from atrous.compare.apart import WorkFailed
from atrous.compare.config import CompareConfig
from atrous.compare.together import run_together
from atrous.compare.weighing import weigh
from atrous.data import DataSpec, open_data, write_scenes
from atrous.inference import Predictor
from atrous.models import build_model
from atrous.weights import save

Work = Callable[..., Any]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 2, "val": 3, "test": 3}, size=(48, 64), seed=3)
    return open_data(folder)


@pytest.fixture
def models(tmp_path: Path, spec: DataSpec) -> list[str]:
    """Two finished models of the data."""

    def finished(width: int) -> str:
        model = build_model("unet", classes=len(spec.label_set), options={"base_channels": width})
        model.label_set = spec.label_set
        folder = tmp_path / f"of-{width}"
        save(model, folder / "model", provenance={"data": spec.fingerprint})
        return str(folder)

    return [finished(2), finished(3)]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[Work, str]:
    """Run all work in this process, but for what is named here with the reason why it fails."""
    reasons: dict[Work, str] = {}

    def here(work: Work, *arguments: object, log: Path, tell: object) -> object:
        if work in reasons:
            raise WorkFailed(reasons[work])
        return work(*arguments, tell)

    monkeypatch.setattr("atrous.compare.planning.apart", here)
    monkeypatch.setattr("atrous.compare.comparison.apart", here)
    return reasons


def test_without_the_joint_step_the_scores_are_told_and_the_same_command_adds_the_speeds(
    models: list[str],
    spec: DataSpec,
    tmp_path: Path,
    failing: dict[Work, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    words = ["compare", "--data", str(spec.root), "--models", ",".join(models), "--out", str(out)]
    words += ["--device", "cpu"]
    failing[run_together] = "out of memory; close other programs"

    assert main(words) == 1

    told = "no speeds and no images side by side: out of memory; close other programs"
    printed = capsys.readouterr().out
    assert told in printed
    table = printed.partition("ms/image")[2]
    for name in models:
        assert re.search(rf"{re.escape(name)} .* 0\.\d{{3}} +- +\d+\b", table)  # ECE, ms, MB
    content = json.loads((out / "results.json").read_text())
    assert content["not_timed"] == "out of memory; close other programs"
    assert [each["ms_per_image"] for each in content["networks"]] == [None, None]
    assert all(each["parameters"] > 0 for each in content["networks"])
    assert told in (out / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}

    failing.clear()
    assert main(words) == 0

    assert "no speeds" not in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    again = json.loads((out / "results.json").read_text())
    assert again["not_timed"] is None
    assert all(each["ms_per_image"]["median"] > 0 for each in again["networks"])
    assert "no speeds" not in (out / "report.html").read_text()
    for old, new in zip(content["networks"], again["networks"], strict=True):
        assert old["mean_iou"] == new["mean_iou"]


def test_finished_runs_need_no_images_to_learn_from(
    models: list[str], tmp_path: Path, failing: dict[Work, str], spec: DataSpec
) -> None:
    only = tmp_path / "only"
    shutil.copytree(spec.root / "test", only / "test")
    lines = (spec.root / "data.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("train:", "val:"))]
    (only / "data.yaml").write_text("".join(kept))
    alone = open_data(only)
    assert set(alone.splits) == {"test"}
    for name in models:  # as if they had been trained on data with this test split
        card = Path(name) / "model" / "config.json"
        card.write_text(card.read_text().replace(spec.fingerprint, alone.fingerprint))
    failing[run_together] = "not of interest"
    out = tmp_path / "out"
    words = ["compare", "--data", str(only), "--models", ",".join(models), "--out", str(out)]

    assert main([*words, "--split", "test", "--device", "cpu"]) == 1

    assert json.loads((out / "results.json").read_text())["data"]["images"] == 3
    assert "3 images of test to judge by" in (out / "report.html").read_text()


def test_memory_and_multiply_adds_are_of_an_image_of_the_commonest_size(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first, (size, count) in enumerate((((96, 128), 1), ((48, 64), 3))):
        write_scenes(tmp_path / str(first), {"train": 1, "val": count}, size=size, seed=first)
    folder = tmp_path / "0" / "val"
    for kind in ("images", "masks"):
        for path in (tmp_path / "1" / "val" / kind).iterdir():
            path.rename(folder / kind / f"z{path.name}")  # after the large one
    seen: list[tuple[int, ...]] = []

    def spied(predictor: Predictor, pixels: np.ndarray) -> None:
        seen.append(pixels.shape[:2])

    monkeypatch.setattr(Predictor, "__call__", spied)
    config = CompareConfig(data=tmp_path / "0", device="cpu")

    weight = weigh(config, Path(models[0]) / "model", lambda what, share: None)

    assert seen == [(48, 64)]
    assert weight.size == (48, 64)
