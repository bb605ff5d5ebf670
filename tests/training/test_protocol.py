"""What a run does under the choices of a protocol, by the weights that it leaves."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from atrous.data import open_data
from atrous.errors import InputError
from atrous.training import Silent, TrainConfig, fit
from atrous.training.begin import seeded_model
from atrous.training.checkpoints import read_progress
from atrous.training.protocol import Protocol
from atrous.training.run_folder import read_config


def run(data: Path, out: Path, tiny: dict[str, Any], **fields: Any) -> TrainConfig:
    return TrainConfig(**{**tiny, "data": data, "out": out, "workers": 0, **fields})


def start(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Return the parameters that a run begins with."""
    assert config.data is not None
    model, _ = seeded_model(config, open_data(config.data), Silent())
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def tensors(folder: Path, part: str = "model") -> dict[str, torch.Tensor]:
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    return {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}


def rates(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["lr"] for line in lines if line["split"] == "train"]


def test_defaults_are_those_of_the_configuration() -> None:
    assert Protocol.of(TrainConfig(data=Path("data"))) == Protocol(norm="auto")


def test_a_clipped_step_is_as_long_as_the_rate_times_the_limit(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    config = run(scenes, tmp_path / "run", tiny, iterations=1, clip=1e-3, lr=0.5, weight_decay=0.0)
    before = start(config)
    fit(config)
    after = tensors(tmp_path / "run")
    moved = sum(float((after[k] - before[k]).double().square().sum()) for k in before)
    assert moved**0.5 == pytest.approx(0.5 * 1e-3, rel=1e-3)  # the first step has no momentum


def test_a_frozen_encoder_stays_bit_equal_and_then_learns(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    config = run(scenes, tmp_path / "run", tiny, iterations=2, freeze_epochs=1, val_every=9)
    before = start(config)  # ten images, four a step: frozen for three steps
    fit(config)
    assert read_config(tmp_path / "run").freeze_encoder == 3
    frozen = tensors(tmp_path / "run")
    encoder = [name for name in before if name.startswith("encoder.")]
    assert all(torch.equal(frozen[name], before[name]) for name in encoder)
    assert not torch.equal(frozen["head.weight"], before["head.weight"])
    fit(TrainConfig(resume=tmp_path / "run", extend=2))
    assert not all(torch.equal(tensors(tmp_path / "run")[n], before[n]) for n in encoder)


def test_averaged_weights_are_what_is_kept(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    fit(run(scenes, tmp_path / "run", tiny, iterations=3, val_every=3, ema=0.5))
    kept = load_file(tmp_path / "run" / "model" / "model.safetensors")
    averaged, live = (tensors(tmp_path / "run", part) for part in ("averaged", "model"))
    assert kept.keys() == averaged.keys()
    assert all(torch.equal(kept[name], averaged[name]) for name in kept)
    assert not torch.equal(averaged["head.weight"], live["head.weight"])


class Noting(Silent):
    """Remembers what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_without_gain_stops_says_so_and_can_be_extended(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    fields = {"iterations": 40, "val_every": 1, "patience": 2, "lr": 1e-12, "norm": "frozen"}
    told = Noting()
    result = fit(run(scenes, folder, tiny, **fields), reporter=told)  # nothing can get better
    assert (result.step, result.is_over) == (3, True)
    assert "stopped early at 3 of 40 iterations: 2 validations in a row without" in told.notes[-1]
    assert result.evaluation is not None
    (folder / "report.html").touch()
    with pytest.raises(
        InputError, match=r"\(3 of 40 iterations, stopped early\).*--extend 3 \(to 43, "
    ):
        fit(TrainConfig(resume=folder))
    again = fit(TrainConfig(resume=folder, extend=5))
    assert again.step == 5  # two more validations without gain
    assert read_config(folder).iterations == 45


def test_a_plateaus_drops_outlive_early_stopping_and_an_extension(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder, told = tmp_path / "run", Noting()
    plateau = {"schedule": "plateau", "schedule_options": {"patience": 1, "factor": 0.1}}
    fields = {"iterations": 40, "val_every": 1, "patience": 2, "lr": 1e-12, "norm": "frozen"}
    fit(run(scenes, folder, tiny, **fields, **plateau))
    again = fit(TrainConfig(resume=folder, extend=5), reporter=told)
    assert again.step == 5
    assert rates(folder) == pytest.approx([1e-12, 1e-12, 1e-13, 1e-14, 1e-15], rel=1e-6)
    assert any("from 1e-14 to 1e-14 at iteration 3" in note for note in told.notes)
    assert read_progress(folder / "last.ckpt").patient_since == 3  # type: ignore[union-attr]


def test_warm_up_and_schedule_are_in_the_journal(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    fields = {"schedule": "step", "schedule_options": {"parts": 2, "factor": 0.5}, "warmup": 2}
    factors = {"encoder": 0.1}  # the journal has the rate before the factors
    fit(run(scenes, tmp_path / "run", tiny, iterations=4, lr=0.1, lr_factors=factors, **fields))
    assert rates(tmp_path / "run") == pytest.approx([0.05, 0.1, 0.05, 0.05])


def test_whole_images_are_shown_whole(
    wide_scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    fit(run(wide_scenes, tmp_path / "run", tiny, iterations=1, crop="whole"))
    assert read_config(tmp_path / "run").crop == (96, 160)
