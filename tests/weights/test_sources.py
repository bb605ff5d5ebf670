import errno

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from atrous.errors import InputError
from atrous.weights import WeightsUnreachable, create_model, load, save
from atrous.weights.sources import check_source, find_model


def small_model():
    return create_model("unet", base_channels=2, classes=2)


def test_a_hub_id_brings_only_the_two_files_of_a_model(tmp_path, monkeypatch):
    folder = save(small_model(), tmp_path / "snapshot")
    asked = []

    def snapshot_download(identifier, allow_patterns):
        asked.append((identifier, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load("someone/streets").spec.architecture == "unet"
    assert asked == [("someone/streets", ["config.json", "model.safetensors"])]


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("offline"), ConnectionError("no route"), TimeoutError()]
)
def test_an_unreachable_hub_is_told_with_the_remedy(monkeypatch, error):
    def snapshot_download(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(WeightsUnreachable, match=r"hub does not answer .*connect, or copy"):
        load("someone/streets")


def test_a_full_disk_is_not_called_an_unreachable_hub(monkeypatch):
    def snapshot_download(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(OSError, match="No space left"):
        load("someone/streets")


def test_without_network_nothing_is_asked_in_this_very_test_run():
    with pytest.raises(WeightsUnreachable):
        load("surely-nobody/has-this-model")


@pytest.mark.parametrize(
    "source",
    ["nowhere", "runs/stret/model", "../a/b", "https://x.org/a/b", "/vsizip/a.zip", "a/b/c", ""],
)
def test_what_is_no_model_never_reaches_the_network(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked"))
    with pytest.raises(InputError, match=r"model|no model|has no"):
        load(source)


def test_a_misspelt_run_is_a_path_not_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(InputError, match="no model at runs/stret; give a folder"):
        load("runs/stret")


@pytest.mark.parametrize("typed", ["steet-scenes", "street-scene", "street_scenes"])
def test_a_misspelt_shipped_name_is_answered_with_it(typed):
    with pytest.raises(InputError, match=r"; did you mean street-scenes\? give a folder"):
        find_model(typed)


def test_a_misspelt_model_folder_is_answered_with_the_closest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/street-1/model").mkdir(parents=True)
    with pytest.raises(InputError, match=r"did you mean runs/street-1/model\? give a folder"):
        find_model("runs/stret-1/modle")


def test_a_source_is_judged_without_its_tensors(tmp_path):
    (tmp_path / "model").mkdir()
    check_source("street-scenes")
    with pytest.raises(InputError, match=r"model has no model\.safetensors"):
        check_source(tmp_path / "model")
    (tmp_path / "model/model.safetensors").touch()
    with pytest.raises(InputError, match=r"is a run, not a model; give .*/model"):
        check_source(tmp_path)


def test_a_file_is_told_from_a_folder(tmp_path):
    folder = save(small_model(), tmp_path / "model")
    with pytest.raises(InputError, match=f"is a file, but a model is a folder; give {folder}"):
        load(folder / "model.safetensors")


def test_a_folder_here_goes_before_the_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("street-scenes").name == "street_scenes"
    save(small_model(), tmp_path / "street-scenes")
    assert load("street-scenes").spec.architecture == "unet"
