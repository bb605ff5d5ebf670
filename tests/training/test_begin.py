"""A run that begins with a trained model: what it brings along, in the run and after a resume."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.data import open_data
from atrous.evaluation import evaluate
from atrous.inference import Predictor
from atrous.ops import Normalization
from atrous.training import Silent, TrainConfig, fit
from atrous.training import checkpoints as checkpoints_module
from atrous.training.begin import seeded_model
from atrous.training.checkpoints import read_progress
from atrous.training.memory import read_peak, start_peak
from atrous.training.preflight import preflight
from atrous.training.run_folder import read_config
from atrous.weights import load, save

OTHER = Normalization((0.3, 0.4, 0.5), (0.11, 0.13, 0.17))


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def trained(scenes: Path, tmp_path: Path, tiny: dict[str, Any]) -> Path:
    """A model folder of the tiny network, with another normalisation than the encoder's."""
    config = TrainConfig(**{**tiny, "data": scenes, "seed": 5})
    model, _ = seeded_model(config, open_data(scenes), Silent())
    model.normalization, model.input_scale = OTHER, 1.5
    return save(model, tmp_path / "trained")


def test_a_resumed_run_keeps_the_normalisation_of_the_model_it_began_with(
    scenes: Path,
    tmp_path: Path,
    tiny: dict[str, Any],
    trained: Path,
    assert_same_run: Callable[[Path, Path], None],
) -> None:
    fields = {**tiny, "data": scenes, "weights": str(trained), "iterations": 4, "val_every": 2}
    fit(TrainConfig(**{**fields, "out": tmp_path / "alone"}))
    stopped = tmp_path / "stopped"

    class Stopping(Silent):
        def validation(self, step: int, *, mean_iou: float, best: bool) -> None:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints_module, "COST_SHARE", 1e9)  # save after every step
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(TrainConfig(**{**fields, "out": stopped}), reporter=Stopping())
    progress = read_progress(stopped / "last.ckpt")
    assert progress is not None
    assert (progress.step, progress.normalization) == (1, OTHER)
    fit(TrainConfig(resume=stopped))
    assert_same_run(tmp_path / "alone", stopped)
    assert load(stopped / "model").normalization == OTHER
    assert load(stopped / "model").input_scale == 1.5


def test_the_input_scale_of_the_model_is_taken_over_unless_another_is_typed(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any], trained: Path
) -> None:
    fields = {**tiny, "data": scenes, "weights": str(trained)}
    noting = Noting()
    result = fit(
        TrainConfig(**{**fields, "out": tmp_path / "run", "iterations": 1}), reporter=noting
    )
    assert noting.notes == [
        f"Scale    1.5, at which {trained} sees images; to train at another: --input-scale"
    ]
    assert load(result.model).input_scale == 1.5
    assert read_config(result.folder).input_scale == 1.5
    typed = TrainConfig(**{**fields, "input_scale": 1.0})
    noting = Noting()
    model, _ = seeded_model(typed, result.spec, noting)
    assert (model.input_scale, noting.notes) == (1.0, [])


def test_twelve_bit_images_are_normalised_as_the_model_normalised_its_own(
    deep_scenes: Path, scenes: Path, tmp_path: Path, tiny: dict[str, Any], trained: Path
) -> None:
    fields = {**tiny, "weights": str(trained), "input_scale": 1.0, "iterations": 1}
    noting = Noting()
    result = fit(
        TrainConfig(**{**fields, "data": deep_scenes, "out": tmp_path / "deep"}), reporter=noting
    )
    assert noting.notes == [
        f"White    4,095 here, the files' largest value for {trained}: "
        "the normalisation is moved from there"
    ]
    model = load(result.model)
    assert model.normalization == OTHER.with_white_at(4095 / 65535)
    assert result.evaluation is not None
    again = evaluate(Predictor(model, device="cpu"), result.spec)
    assert (again.matrix == result.evaluation.matrix).all()

    back = TrainConfig(**{**fields, "data": scenes, "weights": str(result.model)})
    model, _ = seeded_model(back, open_data(scenes), Silent())
    assert model.normalization.mean == pytest.approx(OTHER.mean)
    assert model.normalization.std == pytest.approx(OTHER.std)


def test_a_model_that_ships_is_begun_with_by_its_name(scenes: Path, tmp_path: Path) -> None:
    shipped = load("street-scenes").spec
    options = {key: value for key, value in shipped.options.items() if value is not None}
    config = TrainConfig(
        data=scenes,
        out=tmp_path / "run",
        model=shipped.architecture,
        encoder=shipped.encoder_name,
        weights="street-scenes",
        options=options,  # type: ignore[arg-type]  # no None among them
    )
    assert preflight(config) == config
    spec = open_data(scenes)
    noting = Noting()
    model, source = seeded_model(config, spec, noting)
    assert source is not None
    assert load("street-scenes").label_set.names == spec.label_set.names
    assert not noting.notes
    tensors = load("street-scenes").state_dict()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(ValueError, match="street-scenes is a model of another make; to begin"):
        preflight(dataclasses.replace(config, encoder="resnet18", options={}))


def test_reading_how_far_a_run_has_come_does_not_read_its_tensors(tmp_path: Path) -> None:
    megabytes = 64
    content = {
        "global_step": 7,
        "normalization": OTHER.to_json(),
        "state_dict": {"weight": torch.ones(megabytes * 2**20 // 4)},
    }
    torch.save(content, tmp_path / "last.ckpt")
    del content
    read_progress(tmp_path / "last.ckpt")  # what it imports is not counted
    before = start_peak("cpu")
    progress = read_progress(tmp_path / "last.ckpt")
    assert progress is not None
    assert (progress.step, progress.normalization) == (7, OTHER)
    assert read_peak("cpu") - before < megabytes * 2**20 / 2
    assert read_progress(tmp_path / "none.ckpt") is None
