"""What `atrous compare` refuses before anything is measured, and what it is compared to."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from atrous.compare import CompareConfig, entries_of
from atrous.compare.entries import HASH, check_finished, training_config
from atrous.compare.folder import default_out, open_folder
from atrous.data import DataSpec, open_data, write_scenes
from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models import build_model
from atrous.weights import save


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 2, "val": 2}, size=(48, 64), seed=3)
    return folder


@pytest.fixture(scope="module")
def spec(scenes: Path) -> DataSpec:
    return open_data(scenes)


def config(**fields: Any) -> CompareConfig:
    return CompareConfig(**{"data": Path("data"), **fields})


def finished(folder: Path, label_set: LabelSet, fingerprint: str | None) -> Path:
    """Write a model folder that says what it was trained on."""
    model = build_model("unet", classes=len(label_set), options={"base_channels": 2})
    model.label_set = label_set
    provenance = {} if fingerprint is None else {"data": fingerprint}
    return save(model, folder / "model", provenance=provenance)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"models": ()}, "nothing to compare; give --models a,b,c"),
        ({"minutes": 1, "samples": 99}, "--minutes and --samples exclude each other; give one"),
        ({"minutes": 0}, "--minutes is 0, but must be above 0"),
        ({"minutes": float("nan")}, "--minutes is nan, but must be above 0 and finite"),
        ({"minutes": float("inf")}, "--minutes is inf, but must be above 0 and finite"),
        (
            {"samples": 15},
            "--samples 15 is less than one step of 16 images; give at least 16, or lower "
            "--batch-size",
        ),
        ({"seeds": 0}, "--seeds is 0, but must lie in 1..100"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as raised:
        config(**fields)

    assert told in str(raised.value)


def test_ten_minutes_are_the_budget_where_none_is_given() -> None:
    assert config().budget == ("minutes", 10.0)
    assert config(samples=160).budget == ("samples", 160)


def test_every_network_meets_every_encoder_and_is_named_as_short_as_can_be() -> None:
    found = entries_of(config(models=("deeplab_v3_plus", "pspnet"), encoders=("resnet18",)))
    assert [entry.name for entry in found] == ["deeplab_v3_plus", "pspnet"]
    assert {entry.encoder for entry in found} == {"resnet18"}

    found = entries_of(
        config(models=("deeplab_v3_plus", "unet"), encoders=("resnet18", "mobilenet_v2"))
    )
    assert [entry.name for entry in found] == [
        *("deeplab_v3_plus/resnet18", "deeplab_v3_plus/mobilenet_v2"),
        *("unet/resnet18", "unet/mobilenet_v2"),
    ]

    found = entries_of(config(models=("unet", "pspnet/resnet18")))
    assert [(entry.name, entry.encoder) for entry in found] == [
        ("unet", None),
        ("pspnet", "resnet18"),
    ]


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (("unett",), "unknown network or folder 'unett'; did you mean unet"),
        (("unet", "unet"), "unet is named twice; leave one of them out"),
        (("unet", "runs/none"), "unknown network or folder 'runs/none'"),
        (("pspnet/resnet5",), "did you mean resnet50"),
    ],
)
def test_a_name_that_is_none_is_refused(models: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError) as raised:
        entries_of(config(models=models))

    assert told in str(raised.value)


def test_a_run_folder_and_the_model_in_it_are_the_same(tmp_path: Path, spec: DataSpec) -> None:
    model = finished(tmp_path / "a", spec.label_set, spec.fingerprint)

    (entry,) = entries_of(config(models=(str(tmp_path / "a"),)))
    assert entry.model == model
    assert entry.network == ""

    with pytest.raises(InputError, match="is named twice"):
        entries_of(config(models=(str(tmp_path / "a"), str(model))))


def test_a_finished_model_of_these_data_is_taken(tmp_path: Path, spec: DataSpec) -> None:
    finished(tmp_path / "a", spec.label_set, spec.fingerprint)
    (entry,) = entries_of(config(models=(str(tmp_path / "a"),)))

    assert check_finished(entry, spec.fingerprint, spec.label_set.names) == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("made street scenes, no photographs", "trained on made street scenes, no photographs:"),
        (None, "trained on an unknown source:"),
    ],
)
def test_data_that_are_told_in_words_are_a_remark(
    words: str | None, told: str, tmp_path: Path, spec: DataSpec
) -> None:
    finished(tmp_path / "a", spec.label_set, words)
    (entry,) = entries_of(config(models=(str(tmp_path / "a"),)))

    (remark,) = check_finished(entry, spec.fingerprint, spec.label_set.names)

    assert remark == f"{told} whether it has seen these images cannot be checked"


def test_the_hash_of_data_looks_like_one(spec: DataSpec) -> None:
    assert re.fullmatch(HASH, spec.fingerprint)


def test_a_finished_model_of_other_data_is_refused_with_both_hashes(
    tmp_path: Path, spec: DataSpec
) -> None:
    finished(tmp_path / "a", spec.label_set, "0123456789abcdef" * 2)
    (entry,) = entries_of(config(models=(str(tmp_path / "a"),)))

    with pytest.raises(InputError) as raised:
        check_finished(entry, spec.fingerprint, spec.label_set.names)

    told = str(raised.value)
    assert told.startswith(f"{tmp_path / 'a'} was trained on other data (hash 0123456789ab, here ")
    assert spec.fingerprint[:12] in told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("a", "b"), "knows 2 classes, the data 3, and they differ (only in the data: c)"),
        (("a", "b", "d"), "(only in the data: c; only in the model: d)"),
        (("b", "a", "c"), "(the same names in another order)"),
    ],
)
def test_a_finished_model_of_other_classes_is_refused_with_what_differs(
    tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    finished(tmp_path / "a", LabelSet(names), None)
    (entry,) = entries_of(config(models=(str(tmp_path / "a"),)))

    with pytest.raises(InputError) as raised:
        check_finished(entry, "hash", ("a", "b", "c"))

    assert told in str(raised.value)


def test_all_cells_are_told_the_same_but_for_their_network(spec: DataSpec) -> None:
    chosen = config(
        models=("unet", "deeplab_v3_plus", "pspnet/resnet18"),
        weights={"mobilenet_v2": "a.safetensors"},
        crop=64,
        batch_size=8,
    )

    unet, plus, pspnet = (training_config(chosen, e, 2) for e in entries_of(chosen))

    assert [each.weights for each in (unet, plus, pspnet)] == ["auto", "a.safetensors", "auto"]
    assert {(each.crop, each.batch_size, each.seed) for each in (unet, plus, pspnet)} == {
        (64, 8, 2)
    }


def test_a_folder_is_gone_on_with_under_the_same_settings_only(
    tmp_path: Path, spec: DataSpec
) -> None:
    begun = config(minutes=10, crop=(48, 64))
    open_folder(tmp_path / "c", begun, spec)
    (tmp_path / "c" / "unet" / "seed-0").mkdir(parents=True)

    open_folder(tmp_path / "c", config(minutes=10, crop=(48, 64), seeds=3), spec)  # more cells
    with pytest.raises(InputError) as raised:
        open_folder(tmp_path / "c", config(iterations=5, crop=(48, 64), crf="deeplab"), spec)

    told = str(raised.value)
    assert "holds a comparison with other settings" in told
    assert "budget 10 minutes there, 5 iterations here" in told
    assert "crf none there, deeplab here" in told
    assert "crop" not in told


def test_before_the_first_cell_other_settings_replace_those_of_the_folder(
    tmp_path: Path, spec: DataSpec
) -> None:
    folder = tmp_path / "c"
    open_folder(folder, config(minutes=0.1), spec)
    plan = folder / "unet" / "plan.json"
    plan.parent.mkdir()
    plan.write_text("{}")

    open_folder(folder, config(minutes=0.1), spec)
    assert plan.exists()  # the same settings: what was measured is kept
    open_folder(folder, config(minutes=0.6), spec)

    assert not plan.exists()
    assert json.loads((folder / "compare.json").read_text())["budget"] == "0.6 minutes"


def test_a_folder_of_other_data_or_of_something_else_is_refused(
    tmp_path: Path, spec: DataSpec
) -> None:
    open_folder(tmp_path / "c", config(), spec)
    (tmp_path / "c" / "unet" / "seed-0").mkdir(parents=True)
    with pytest.raises(InputError, match="the data have changed"):
        open_folder(tmp_path / "c", config(), dataclasses.replace(spec, fingerprint="other"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "photo.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="is not empty and holds no comparison"):
        open_folder(tmp_path / "d", config(), spec)
    with pytest.raises(InputError, match=r"photo.jpg is a file; give a folder as --out"):
        open_folder(tmp_path / "d" / "photo.jpg", config(), spec)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("cracks", "compare-cracks"),
        ("cracks/data.yaml", "compare-cracks"),
        ("camvid.yaml", "compare-camvid"),
    ],
)
def test_the_same_command_finds_its_folder_again(tmp_path: Path, data: str, name: str) -> None:
    path = tmp_path / data
    if path.suffix:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")

    assert default_out(config(data=path)) == Path("runs") / name
