"""A run that is killed and gone on with ends as the run that was left alone, to the bit."""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from atrous.encoders import create_encoder
from atrous.errors import InputError
from atrous.evaluation import evaluate
from atrous.inference import Predictor, tiling
from atrous.ops import Normalization
from atrous.training import Silent, TrainConfig, fit
from atrous.training import checkpoints as checkpoints_module
from atrous.weights import load, read_model_config

SameRun = Callable[[Path, Path], None]


def journal(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "img_per_s"}
    return [{k: v for k, v in line.items() if k not in timed} for line in lines]


def state(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "last.ckpt", weights_only=True))


def test_best_of_training_is_what_the_saved_model_scores(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    result = fit(
        TrainConfig(**{**tiny, "data": scenes, "out": run, "iterations": 4, "val_every": 2})
    )
    assert result.evaluation is not None
    scores = [line["mean_iou"] for line in journal(run) if line["split"] == "val"]
    assert result.evaluation.mean_iou == max(scores)


def test_validation_evaluation_and_saved_model_agree_also_where_images_are_cut(
    wide_scenes: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 64 * 64)
    monkeypatch.setattr(tiling, "TILE", 64)
    run = tmp_path / "run"
    result = fit(TrainConfig(**{**tiny, "data": wide_scenes, "out": run, "iterations": 2}))
    assert result.evaluation is not None
    assert result.evaluation.protocol["tile"] == [64, 64]
    scores = [line["mean_iou"] for line in journal(run) if line["split"] == "val"]
    assert result.evaluation.mean_iou == max(scores)
    again = evaluate(Predictor(load(run / "model"), device="cpu"), result.spec)
    assert (again.matrix == result.evaluation.matrix).all()


def test_twelve_bit_images_are_seen_alike_in_training_and_by_the_saved_model(
    deep_scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    result = fit(TrainConfig(**{**tiny, "data": deep_scenes, "out": run, "iterations": 1}))
    model = load(run / "model")
    assert model.normalization == Normalization.imagenet().with_white_at(4095 / 65535)
    assert result.evaluation is not None
    again = evaluate(Predictor(model, device="cpu"), result.spec)
    assert (again.matrix == result.evaluation.matrix).all()


@pytest.mark.parametrize("spared", [0, 2])  # first met in the plan, or (after 2 calls) in training
def test_a_validation_image_too_large_for_memory_names_the_tile_and_the_run_goes_on_with_it(
    wide_scenes: Path,
    tmp_path: Path,
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    spared: int,
) -> None:
    calls = itertools.count()
    real = Predictor._score

    def score(predictor: Predictor, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] > 64 and next(calls) >= spared:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(predictor, images)

    monkeypatch.setattr(Predictor, "_score", score)
    run = tmp_path / "run"
    fields = {**tiny, "data": wide_scenes, "iterations": 2, "val_every": 2}
    with pytest.raises(InputError, match=r"image of 160x96 does not fit .* with --tile 64"):
        fit(TrainConfig(**{**fields, "out": run}))
    if spared:
        result = fit(TrainConfig(resume=run, tile=64))
    else:
        result = fit(TrainConfig(**{**fields, "out": run, "tile": 64}))
    assert result.evaluation is not None
    assert result.evaluation.protocol["tile"] == [64, 64]


def test_a_finished_run_refuses_and_says_how_to_train_on(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    fit(TrainConfig(**{**tiny, "data": scenes, "out": run, "iterations": 2}))
    (run / "report.html").touch()
    with pytest.raises(InputError, match=r"finished \(2 of 2 iterations\).*--extend 2"):
        fit(TrainConfig(resume=run))
    notes: list[str] = []

    class Noting(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    assert fit(TrainConfig(resume=run, iterations=8), reporter=Noting()).step == 8
    # 0.01 * (1 - 2 / 8) ** 0.9
    assert notes == [
        "Length   8 iterations instead of 2: the decay is planned anew, "
        "so the learning rate goes from 0 to 0.0077 at iteration 2"
    ]
    lines = [line for line in journal(run) if line["split"] == "train"]
    assert lines[2]["lr"] == pytest.approx(0.01 * 0.75**0.9)


def test_a_run_goes_on_where_its_data_have_moved_but_not_where_they_changed(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run, first, second = tmp_path / "run", tmp_path / "first", tmp_path / "second"
    shutil.copytree(scenes, first)
    fit(TrainConfig(**{**tiny, "data": first, "out": run, "iterations": 1}))
    first.rename(second)
    assert fit(TrainConfig(resume=run, data=second, iterations=2)).step == 2
    extra = next((second / "train" / "images").iterdir())
    extra.unlink()
    (second / "train" / "masks" / f"{extra.stem}.png").unlink()
    with pytest.raises(InputError, match=r"the data have changed since .*run began"):
        fit(TrainConfig(resume=run, iterations=3))


def test_a_report_older_than_the_last_step_is_written_again(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    fit(TrainConfig(**{**tiny, "data": scenes, "out": run, "iterations": 1}))
    (run / "report.html").touch()
    os.utime(run / "report.html", (0, 0))  # of a shorter run, before it was killed at its end
    (run / ".last.ckpt.x.part").touch()
    assert fit(TrainConfig(resume=run)).evaluation is not None
    assert not list(run.glob(".*.part"))


def test_weights_that_are_no_longer_there_are_not_needed_to_go_on(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    encoder = create_encoder("mobilenet_v2_035", padding="same")
    assert isinstance(encoder, torch.nn.Module)
    file, run = tmp_path / "encoder.safetensors", tmp_path / "run"
    save_file(encoder.state_dict(), file, {"padding": "same"})
    fields = {**tiny, "data": scenes, "out": run, "weights": str(file), "iterations": 1}
    fit(TrainConfig(**fields))
    origin = {
        "source": "file",
        "name": "encoder.safetensors",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert read_model_config(run / "model").provenance["encoder_weights"] == origin
    file.unlink()
    shutil.rmtree(run / "model")  # so that the next validation must write it, whatever it scores
    assert fit(TrainConfig(resume=run, iterations=2)).step == 2
    assert load(run / "model").spec.options["padding"] == "same"
    assert read_model_config(run / "model").provenance["encoder_weights"] == origin


def test_an_option_that_cannot_change_is_refused_on_resume(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    fit(TrainConfig(**{**tiny, "data": scenes, "out": run, "iterations": 1}))
    with pytest.raises(InputError, match=r"--optimizer adamw differs from the run's sgd"):
        fit(TrainConfig(resume=run, optimizer="adamw"))


RARE = {
    "class_weights": "enet",
    "loss": "ohem(min_kept=0.2) + 0.5 lovasz",
    "sampling": "class_balanced",
    "patch_sampling": 0.7,
}


@pytest.mark.parametrize("choices", [{}, RARE], ids=["plain", "loss and sampling"])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_how_to_go_on(
    choices: dict[str, Any],
    scenes: Path,
    tmp_path: Path,
    tiny: dict[str, Any],
    assert_same_run: SameRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    fields = {**tiny, **choices, "data": scenes, "iterations": 6, "val_every": 6}
    fit(TrainConfig(**{**fields, "out": tmp_path / "alone"}))
    writes = 0
    real = checkpoints_module.write_bytes

    def failing(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(checkpoints_module, "write_bytes", failing)
    monkeypatch.setattr(checkpoints_module, "COST_SHARE", 1e9)  # save after every step
    with pytest.raises(InputError, match=r"the disk is full; the earlier checkpoint is intact"):
        fit(TrainConfig(**{**fields, "out": run}))
    assert state(run)["global_step"] == 1
    fit(TrainConfig(resume=run))
    assert_same_run(tmp_path / "alone", run)
