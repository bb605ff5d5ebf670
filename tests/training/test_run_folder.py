"""Run folders: names, the resolved configuration, what may change on resume."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from atrous.cli.parsing import parse
from atrous.data import open_data
from atrous.errors import InputError
from atrous.training import Silent, TrainConfig, fit
from atrous.training.begin import seeded_model
from atrous.training.environment import check_data, write_environment
from atrous.training.phases import begin_phases
from atrous.training.run_folder import new_run, read_config, resumed, write_config
from atrous.weights import WeightsUnreachable


def test_runs_are_named_after_their_data_and_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(data=tmp_path / "my cracks")
    assert new_run(config) == Path("runs/my-cracks-1")
    assert new_run(config) == Path("runs/my-cracks-2")


def test_an_output_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(InputError, match=r"is not empty; give another --out, or --resume"):
        new_run(TrainConfig(data=tmp_path, out=tmp_path))
    with pytest.raises(InputError, match=r"is a file; give a folder"):
        new_run(TrainConfig(data=tmp_path, out=tmp_path / "keep.txt"))


def test_the_configuration_survives_its_file(tmp_path: Path) -> None:
    config = TrainConfig(
        data=tmp_path / "d", out=tmp_path, crop=(32, 48), options={"output_stride": 8}, lr=0.1
    )
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config


def test_a_folder_without_a_configuration_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run folder"):
        read_config(tmp_path)


def test_a_phase_begins_with_the_model_of_the_one_before_wherever_the_run_lies(
    tmp_path: Path,
) -> None:
    old, new, other = tmp_path / "old", tmp_path / "new", tmp_path / "other/phase-1/model"
    first = TrainConfig(data=tmp_path, weights=str(other))
    begin_phases(old, [first, first, first])
    shutil.copytree(old, new)  # and the old one stays, as that of a copy does
    starts = [
        resumed(TrainConfig(resume=p)).weights for p in (new / "phase-1", new / "phase-2", new)
    ]
    assert starts == [str(other), str(new / "phase-1/model"), str(new / "phase-2/model")]
    alone = TrainConfig(data=tmp_path, out=other.parent.parent, weights="imagenet")
    write_config(new / "phase-1", alone)
    assert resumed(TrainConfig(resume=new / "phase-1")).weights == "imagenet"


@pytest.mark.parametrize("text", ["[1, 2]", "data: [", "lrr: 3\ndata: x"])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_config(tmp_path)


def test_more_iterations_and_other_workers_may_be_asked_for_on_resume(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, iterations=5, lr=0.3))
    config = resumed(TrainConfig(resume=tmp_path, iterations=9, workers=0))
    assert (config.iterations, config.workers, config.lr) == (9, 0, 0.3)


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such run folder"):
        resumed(TrainConfig(resume=tmp_path / "nowhere"))


def test_a_wrong_name_leaves_no_folder_behind_and_the_data_unread(
    tmp_path: Path, tiny: dict[str, object]
) -> None:
    nowhere = tmp_path / "no data here"
    fields = {**tiny, "data": nowhere, "out": tmp_path / "run", "model": "unett"}
    with pytest.raises(InputError, match=r"unknown model 'unett'; did you mean unet"):
        fit(TrainConfig(**fields))  # type: ignore[arg-type] - a dict of any values
    assert not (tmp_path / "run").exists()


def test_the_papers_unet_needs_no_encoder_weights(
    scenes: Path, tmp_path: Path, tiny: dict[str, object]
) -> None:
    fields = {**tiny, "data": scenes, "out": tmp_path / "run", "model": "unet", "encoder": None}
    fields |= {"weights": "auto", "options": {"base_channels": 4, "padding": "same"}}
    assert fit(TrainConfig(**fields, iterations=1)).step == 1  # type: ignore[arg-type]
    environment = json.loads((fields["out"] / "environment.json").read_text())
    assert environment["encoder_weights"] is None  # known: there were none


def test_what_is_given_again_may_be_written_in_another_way(tmp_path: Path) -> None:
    stored = TrainConfig(data=tmp_path, out=tmp_path, crop=(64, 64), options={"a": 1, "b": 2})
    write_config(tmp_path, stored)
    again = TrainConfig(resume=tmp_path, out=tmp_path, crop=64, options={"b": 2})
    assert resumed(again).crop_size == (64, 64)
    with pytest.raises(InputError, match=r"--out .*other differs from the run's"):
        resumed(TrainConfig(resume=tmp_path, out=tmp_path / "other"))
    with pytest.raises(InputError, match=r"--minutes sets the length of a new run; .*--extend N"):
        resumed(TrainConfig(resume=tmp_path, minutes=3.0))


def test_a_default_that_was_typed_contradicts_too(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, optimizer="adamw", seed=7))

    def typed(*words: str) -> TrainConfig:
        return parse("train", TrainConfig, ["--resume", str(tmp_path), *words])

    assert resumed(typed()).optimizer == "adamw"
    assert resumed(typed("--optimizer", "adamw", "--seed=7", "--device", "auto")).seed == 7
    for words, told in (
        (["--optimizer", "sgd"], "--optimizer sgd differs from the run's adamw; leave it out"),
        (["--seed", "0"], "--seed 0 differs from the run's 7"),
    ):
        with pytest.raises(InputError, match=told):
            resumed(typed(*words))
    with pytest.raises(InputError, match="differs from the run's adamw"):
        resumed(TrainConfig(resume=tmp_path, optimizer="sgd", given=frozenset({"optimizer"})))


def test_a_recipes_command_may_be_given_again_and_what_differs_is_named(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "schedule": "step", "schedule_options": {"parts": 3, "factor": 0.1}, "norm": "train",
        "lr_factors": {"classifier": 5.0, "biases": 2.0}, "options": {"a": 1, "b": 2},
    }  # fmt: skip
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, **fields))
    (tmp_path / "environment.json").write_text('{"recipe": "deeplab_v1"}')

    def typed(*words: str) -> TrainConfig:
        return resumed(parse("train", TrainConfig, ["--resume", str(tmp_path), *words]))

    same = ["--lr-factors", "classifier=5", "--schedule-options", "parts=3", "--norm", "auto"]
    assert typed("--recipe", "deeplab_v1", *same).lr_factors == fields["lr_factors"]
    for words, told in (
        (["--recipe", "unet"], "--recipe unet differs from the run's deeplab_v1; leave it out"),
        (["--lr-factors", "classifier=7"],
         "--lr-factors classifier=7.0 differs from the run's classifier=5.0,biases=2.0; leave"),
        (["--schedule-options", "parts=4"],
         "--schedule-options parts=4.0 differs from the run's parts=3,factor=0.1; leave"),
        (["--schedule-options", "power=4"], "power=4.0 differs from the run's parts=3"),
        (["--clip", "1"], "--clip 1.0, but the run has none; leave it out, or start"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told):
            typed(*words)


def test_the_recipe_of_a_phase_that_has_not_begun_may_be_given_again(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, recipe="fcn"))
    assert resumed(TrainConfig(resume=tmp_path, recipe="fcn")).recipe == "fcn"
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path))
    with pytest.raises(InputError, match="--recipe fcn, but the run has none; leave it"):
        resumed(TrainConfig(resume=tmp_path, recipe="fcn"))


def test_the_runs_own_configuration_contradicts_nothing(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, iterations=5, crop=(32, 48)))
    words = ["--resume", str(tmp_path), "--config", str(tmp_path / "config.yaml")]
    assert resumed(parse("train", TrainConfig, words)).crop == (32, 48)


def test_what_changes_about_the_machine_is_kept_beside_what_the_run_began_with(
    tmp_path: Path,
) -> None:
    def went_on(done: int, device: str) -> None:
        write_environment(tmp_path, done=done, device=device, precision="fp32", began={"data": "a"})

    def written(name: str) -> tuple[object, object]:
        content = json.loads((tmp_path / name).read_text())
        return content["device"], content.get("from_iteration")

    went_on(0, "cpu")
    went_on(4, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["environment.json"]
    for done, device in ((8, "cuda"), (9, "cuda"), (12, "cpu")):
        went_on(done, device)
    assert written("environment.json") == ("cpu", None)
    assert written("environment-2.json") == ("cuda", 8)
    assert written("environment-3.json") == ("cpu", 12)
    assert not (tmp_path / "environment-4.json").exists()
    with pytest.raises(InputError, match="the data have changed since"):
        check_data(tmp_path, "b")
    check_data(tmp_path, "a")
    (tmp_path / "environment.json").write_text("{")
    check_data(tmp_path, "b")  # nothing to compare with


def test_a_split_without_one_label_is_refused_before_the_first_step(
    scenes: Path, tmp_path: Path, tiny: dict[str, object]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(scenes, data)
    for mask in (data / "val" / "masks").iterdir():
        with Image.open(mask) as picture:
            void = picture.point(lambda _: 255)
        void.save(mask)
    with pytest.raises(InputError, match=r"every mask of val in .* is void"):
        fit(TrainConfig(**{**tiny, "data": data, "out": tmp_path / "run"}))  # type: ignore[arg-type]


def test_without_a_connection_training_starts_from_scratch_and_says_so(
    scenes: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(name: str) -> None:
        raise WeightsUnreachable(f"ImageNet weights of {name} cannot be fetched; connect, or else")

    monkeypatch.setattr("atrous.weights.encoder_weights.imagenet_tensors", unreachable)
    notes: list[str] = []

    class Noting(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    config = TrainConfig(**{**tiny, "data": scenes, "weights": "auto"})  # type: ignore[arg-type]
    model, weights = seeded_model(config, open_data(scenes), Noting())
    assert (model.spec.in_channels, weights) == (3, None)
    assert notes == [
        "Weights  from scratch: ImageNet weights of mobilenet_v2_035 cannot be fetched; "
        "connect or give --weights FILE to do better"
    ]
    with pytest.raises(WeightsUnreachable):
        seeded_model(dataclasses.replace(config, weights="imagenet"), open_data(scenes), Noting())


@pytest.mark.parametrize(("given", "weight"), [(None, 0.4), (0.2, 0.2), (0.0, 0.0)])
def test_the_weight_of_auxiliary_losses_is_the_papers_or_the_users(
    scenes: Path, tiny: dict[str, object], given: float | None, weight: float
) -> None:
    network = {"model": "pspnet", "encoder": "test_resnet", "options": {"channels": 8}}
    config = TrainConfig(**{**tiny, **network, "data": scenes, "auxiliary_weight": given})  # type: ignore[arg-type]
    model, _ = seeded_model(config, open_data(scenes), Silent())
    assert model.auxiliary_weights(2) == (weight, weight)


@pytest.mark.parametrize(
    ("given", "weights"), [(None, (1.0, 1.0, 0.4, 0.4)), (0.2, (0.2, 0.2, 0.2, 0.2))]
)
def test_the_users_weight_is_that_of_every_network_in_a_network(
    scenes: Path, tiny: dict[str, object], given: float | None, weights: tuple[float, ...]
) -> None:
    options = {"network": "pspnet", "channels": 8, "scales": "1+0.5", "attention_channels": 8}
    network = {"model": "attention_to_scale", "encoder": "test_resnet", "options": options}
    config = TrainConfig(**{**tiny, **network, "data": scenes, "auxiliary_weight": given})  # type: ignore[arg-type]
    model, _ = seeded_model(config, open_data(scenes), Silent())
    assert model.auxiliary_weights(4) == weights
