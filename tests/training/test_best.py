"""One number everywhere: training's best, the saved model's card, the command `evaluate`."""

import json
from pathlib import Path
from typing import Any

import pytest

from atrous.cli.main import main
from atrous.data import open_data
from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.reports.run_record import read_run
from atrous.training import Silent, TrainConfig, fit
from atrous.training.best import Best, best_so_far
from atrous.training.run_folder import read_config
from atrous.weights import load, read_model_config, save


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def able(tiny: dict[str, Any]) -> dict[str, Any]:
    """Fields of a run that begins with the shipped model: its labels differ from tile to tile."""
    shipped = load("street-scenes").spec
    options = {key: value for key, value in shipped.options.items() if value is not None}
    network = {"model": shipped.architecture, "encoder": shipped.encoder_name, "options": options}
    return {**tiny, **network, "weights": "street-scenes", "lr": 1e-4}


def best_line(run: Path) -> float:
    """Return the highest validation that the journal holds."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return float(max(line["mean_iou"] for line in lines if line["split"] == "val"))


def scored(capsys: pytest.CaptureFixture[str], run: Path, data: Path, *words: str) -> float:
    """Return what the command says of the saved model."""
    capsys.readouterr()
    command = ["evaluate", str(run / "model"), "--data", str(data), "--device", "cpu", "--json"]
    assert main([*command, *words]) == 0
    return float(json.loads(capsys.readouterr().out)["mean_iou"])


@pytest.mark.parametrize("tile", [None, 64, 0])
def test_best_of_training_is_what_the_command_says_of_the_saved_model(
    wide_scenes: Path,
    tmp_path: Path,
    able: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tile: int | None,
) -> None:
    run = tmp_path / "run"
    fields = {**able, "data": wide_scenes, "out": run, "iterations": 4, "val_every": 2}
    result = fit(TrainConfig(**fields, tile=tile))
    assert result.evaluation is not None
    best = best_line(run)
    assert result.evaluation.mean_iou == best
    assert read_model_config(run / "model").metrics["mean_iou"] == best
    assert scored(capsys, run, wide_scenes) == best
    assert load(run / "model").tile == tile
    other = "0" if tile == 64 else "64"
    assert scored(capsys, run, wide_scenes, "--tile", other) != best


def test_another_tile_scores_the_best_model_again(
    wide_scenes: Path, tmp_path: Path, able: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run, noting = tmp_path / "run", Noting()
    fields = {**able, "data": wide_scenes, "out": run, "iterations": 2, "val_every": 2}
    fit(TrainConfig(**fields, tile=64))
    before = best_line(run)
    fields = {"resume": run, "iterations": 3, "tile": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.training.run.train", lambda *_: (2, False))  # none of the new steps
        assert fit(TrainConfig(**fields), reporter=noting).evaluation is None
    card = read_model_config(run / "model")
    again = card.metrics["mean_iou"]
    assert again == scored(capsys, run, wide_scenes) != before
    assert (card.tile, card.provenance["step"]) == (0, 2)
    assert noting.notes[0] == (
        f"Best     of iteration 2, scored again with tile 0: mean IoU {again:.3f} "
        f"instead of {before:.3f} with 64"
    )
    assert fit(TrainConfig(**fields)).evaluation is not None
    assert read_config(run).tile == 0
    best = read_run(run).best
    assert best is not None
    assert best.mean_iou == scored(capsys, run, wide_scenes)


def test_a_model_ahead_of_the_checkpoint_stays_until_it_is_beaten(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run, noting = tmp_path / "run", Noting()
    fit(TrainConfig(**{**tiny, "data": scenes, "out": run, "iterations": 1}))
    card = read_model_config(run / "model")
    save(  # as a run leaves it that is killed before the next checkpoint
        load(run / "model"),
        run / "model",
        metrics={**card.metrics, "mean_iou": 0.75},
        provenance={**card.provenance, "step": 9},
    )
    fit(TrainConfig(resume=run, iterations=2), reporter=noting)
    card = read_model_config(run / "model")
    assert (card.metrics["mean_iou"], card.provenance["step"]) == (0.75, 9)
    assert noting.notes[0] == (
        "Best     of iteration 9, saved before the run was stopped at 1: "
        "mean IoU 0.750; it stays until it is beaten"
    )
    best = read_run(run).best
    assert best is not None
    assert (best.step, best.mean_iou) == (9, 0.75)


def test_without_a_model_of_the_run_the_next_validation_is_the_best(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    spec = open_data(scenes)

    def best() -> Best:
        return best_so_far(tmp_path, spec, tile=None, done=5, device="cpu", reporter=Silent())

    assert best() == Best()
    shipped = load("street-scenes")
    save(shipped, tmp_path / "model")
    assert best() == Best()
    save(shipped, tmp_path / "model", metrics={"mean_iou": 0.5}, provenance={"step": 5})
    assert best() == Best(0.5, 5)


def test_a_tile_that_no_window_can_have_is_refused_with_the_model(tmp_path: Path) -> None:
    model = load("street-scenes")
    model.tile = 512
    save(model, tmp_path)
    assert Predictor(load(tmp_path), device="cpu").tiling.window == (512, 512)
    assert Predictor(load(tmp_path), tile=0, device="cpu").tiling.window is None
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"tile": 512', '"tile": "512"'))
    with pytest.raises(InputError, match="tile is '512', but int is needed"):
        load(tmp_path)
