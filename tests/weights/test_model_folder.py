import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models import MODELS
from atrous.ops import Normalization
from atrous.weights import create_model, load, read_model_config, save, store_calibration, store_crf

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def small_model(seed=0, classes=3, **options):
    torch.manual_seed(seed)
    model = create_model(
        "deeplab_v3_plus",
        encoder_name="mobilenet_v2_035",
        classes=classes,
        aspp_channels=16,
        decoder_channels=16,
        skip_channels=8,
        **options,
    )
    model.label_set = LabelSet(("sky", "road", "void-like")[:classes])
    model.normalization = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    return model


def state_equal(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def edit(folder, **changes):
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_loaded_model_computes_the_same_bits(name, tmp_path):
    small = {
        "attention_to_scale": {"fc_channels": 8, "attention_channels": 8},
        "deeplab_v1": {"fc_channels": 8},
        "deeplab_v2": {"encoder_name": "resnet18"},
        "fcn8s": {"fc_channels": 8, "padding": "same"},
        "segnet": {"base_channels": 4},
        "segnet_basic": {"channels": 4},
        "unet": {"base_channels": 4},
    }
    model = create_model(name, classes=5, **small.get(name, {})).eval()
    images = torch.rand(1, 3, 33, 48)

    loaded = load(save(model, tmp_path / "model"))

    assert not loaded.training
    assert loaded.spec == model.spec
    assert [p.requires_grad for p in loaded.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))


def test_labels_normalization_and_card_travel_with_the_model(tmp_path):
    model = small_model()
    model.input_scale = 1.5
    save(
        model,
        tmp_path,
        metrics={"val": {"mean_iou": 0.75, "iou": (0.5, float("nan"))}},
        provenance={"data": "scenes"},
        licence="Apache-2.0",
    )
    loaded, card = load(tmp_path), read_model_config(tmp_path)
    assert loaded.label_set == model.label_set
    assert loaded.normalization == model.normalization
    assert loaded.input_scale == 1.5
    assert card.metrics == {"val": {"mean_iou": 0.75, "iou": [0.5, None]}}
    assert (card.provenance, card.licence) == ({"data": "scenes"}, "Apache-2.0")


def test_the_same_model_gives_the_same_bytes(tmp_path):
    one, other = (save(small_model(), tmp_path / name) for name in "ab")
    for file in (CONFIG, WEIGHTS):
        assert (one / file).read_bytes() == (other / file).read_bytes()


def test_half_takes_half_the_bytes_and_keeps_batch_norm_in_float32(tmp_path):
    model = small_model()
    variances = [key for key in model.state_dict() if key.endswith("running_var")]
    model.state_dict()[variances[0]].fill_(1e-9)  # would be 0 in float16
    full, half = save(model, tmp_path / "full"), save(model, tmp_path / "half", half=True)

    loaded = load(half).state_dict()

    assert (half / WEIGHTS).stat().st_size < 0.62 * (full / WEIGHTS).stat().st_size
    for key, tensor in model.state_dict().items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded[key], expected)
        assert loaded[key].dtype == tensor.dtype


def test_weights_beyond_float16_are_refused_in_half(tmp_path):
    model = small_model()
    model.head.weight.data[0, 0] = 1e5
    with pytest.raises(InputError, match=r"head.weight reaches 1e\+05.*without half=True"):
        save(model, tmp_path, half=True)
    assert not (tmp_path / WEIGHTS).exists()


def test_channels_last_weights_are_saved(tmp_path):
    model = small_model().to(memory_format=torch.channels_last)
    assert state_equal(load(save(model, tmp_path)), model)


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "README.md").write_text("a card")
    save(small_model(), tmp_path)
    assert (tmp_path / "README.md").read_text() == "a card"


# Killed or out of space in the middle: the old model or the new one, never a mixture.


@pytest.mark.parametrize("failing", [WEIGHTS, CONFIG])
def test_a_full_disk_leaves_a_whole_model_and_one_clear_line(tmp_path, monkeypatch, failing):
    old, new = small_model(0), small_model(1)
    save(old, tmp_path, metrics={"mean_iou": 0.1})
    fsync = os.fsync

    def full_disk(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(f".{failing}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"cannot save.*No space left.*free some space"):
        save(new, tmp_path, metrics={"mean_iou": 0.9})
    monkeypatch.undo()

    expected, score = (old, 0.1) if failing == WEIGHTS else (new, 0.9)
    assert state_equal(load(tmp_path), expected)
    assert read_model_config(tmp_path).metrics == {"mean_iou": score}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_between_the_two_files_leaves_a_whole_model(tmp_path, renames):
    old, new = small_model(0), small_model(1, classes=2)
    save(old, tmp_path / "model", metrics={"mean_iou": 0.1})
    save(new, tmp_path / "new")
    script = f"""
import os, signal, pathlib
from atrous.weights import load, save
left = {renames}
replace = pathlib.Path.replace
def killed(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)
model = load({str(tmp_path / "new")!r})
pathlib.Path.replace = killed
save(model, {str(tmp_path / "model")!r}, metrics={{"mean_iou": 0.9}})
"""
    code = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ).returncode

    assert code == -9
    expected, score = (new, 0.9) if renames else (old, 0.1)
    loaded = load(tmp_path / "model")
    assert state_equal(loaded, expected)
    assert loaded.label_set == expected.label_set
    assert read_model_config(tmp_path / "model").metrics == {"mean_iou": score}
    save(old, tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [CONFIG, WEIGHTS]


def test_a_first_save_killed_between_the_two_files_already_loads(tmp_path):
    model = small_model()
    (save(model, tmp_path) / CONFIG).unlink()
    assert state_equal(load(tmp_path), model)


def test_a_model_saved_with_an_option_that_is_gone_still_loads(tmp_path):
    model = create_model("deeplab_v2", encoder_name="resnet18", classes=3)
    save(model, tmp_path)
    options = json.loads((tmp_path / CONFIG).read_text())["options"]
    edit(tmp_path, options={**options, "freeze_norm": False})
    assert state_equal(load(tmp_path), model)


def test_a_timm_encoder_that_sees_padded_images_is_saved_under_its_own_keys(tmp_path):
    model = create_model("unet", encoder_name="densenet121", classes=3)
    save(model, tmp_path)
    assert state_equal(load(tmp_path), model)
    assert not any(".pyramid." in key for key in model.state_dict())


def test_edits_of_the_config_count(tmp_path):
    save(small_model(), tmp_path)
    names = LabelSet(("heaven", "street", "nothing"))
    edit(tmp_path, label_set=names.to_json(), licence="CC0-1.0")
    assert load(tmp_path).label_set == names
    assert read_model_config(tmp_path).licence == "CC0-1.0"


def test_weights_without_our_header_load_by_their_config(tmp_path):
    from safetensors.torch import save_file

    model = small_model()
    save(model, tmp_path)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / WEIGHTS)
    assert state_equal(load(tmp_path), model)


# Folders that are wrong: one line each, with the remedy.


def faulty(folder, fault):
    """Break a saved model folder in the way that `fault` names."""
    config, weights = folder / CONFIG, folder / WEIGHTS
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif fault == "zero bytes":
        weights.write_bytes(b"")
    elif fault == "garbage":
        weights.write_bytes(b"PK" * 500)
    elif fault == "no weights":
        weights.unlink()
    elif fault == "not JSON":
        config.write_text("{")
    elif fault == "deep JSON":
        config.write_text("[" * 100_000)
    elif fault == "foreign":
        config.write_text('{"model_type": "segformer"}')
    else:
        edit(
            folder,
            **{
                "newer": {"format_version": 2},
                "architecture": {"architecture": "deeplab_v3plus"},
                "option": {"options": {"output_strid": 8}},
                "classes": {"classes": 7},
                "more classes": {"classes": 4, "label_set": LabelSet.numbered(4).to_json()},
                "channels": {"in_channels": 1},
                "label set": {"label_set": {"names": 3}},
                "type": {"in_channels": "3"},
                "scale": {"input_scale": 0},
                "other network": {"encoder_name": "mobilenet_v2_050"},
                "huge": {"options": {"decoder_channels": 100_000}},
                "overflow": {"options": {"decoder_channels": 10**17}},
                "negative": {"options": {"skip_channels": -8}},
                "long": {"provenance": {"text": "x" * 2**23}},
            }[fault],
        )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncated", r"model.safetensors \(\d+ bytes\) is truncated .*copy it again"),
        ("zero bytes", "model.safetensors has 0 bytes; copy it again"),
        ("garbage", "truncated or no safetensors file.*copy it again"),
        ("no weights", "has no model.safetensors; give a folder that atrous saved"),
        ("not JSON", "config.json: not readable as JSON.*copy the folder again"),
        ("deep JSON", "config.json: not readable as JSON"),
        ("foreign", 'config.json: no "format": "atrous-model".*folder that atrous saved'),
        ("newer", "format version is 2, but this atrous reads 1; update with: pip install -U"),
        ("architecture", "unknown model 'deeplab_v3plus'; did you mean deeplab_v3_plus"),
        ("option", "unknown option of deeplab_v3_plus 'output_strid'; did you mean output_stride"),
        ("classes", "names 3 classes, but the network has 7; give one name per class"),
        ("more classes", r"another architecture.*head.weight is 3x16x1x1 instead of 4x16x1x1"),
        ("channels", "figures for 3 channels, but the network takes 1"),
        ("label set", "label_set is damaged.*copy the folder again"),
        ("type", "in_channels is '3', but int is needed"),
        ("scale", r"input_scale is 0, but a number in 0\.25\.\.4 is needed"),
        ("other network", "checkpoint of another architecture.*mobilenet_v2_050"),
        ("huge", "checkpoint of another architecture"),  # and no terabyte allocated
        ("overflow", "deeplab_v3_plus that cannot be built"),
        ("negative", "skip_channels"),
        ("long", "config.json: over 4194304 characters"),
    ],
)
def test_a_damaged_folder_gets_one_clear_line(tmp_path, fault, message):
    save(small_model(), tmp_path)
    faulty(tmp_path, fault)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_run_folder_names_the_model_inside(tmp_path):
    save(small_model(), tmp_path / "model")
    with pytest.raises(
        InputError, match=re.escape(f"a run, not a model; give {tmp_path / 'model'}")
    ):
        load(tmp_path)


def test_the_header_repeats_the_config(tmp_path):
    save(small_model(), tmp_path)
    with safe_open(tmp_path / WEIGHTS, framework="pt") as file:
        assert file.metadata() == {"atrous": (tmp_path / CONFIG).read_text()}


def test_what_a_search_found_for_the_crf_is_kept_beside_the_same_weights(tmp_path):
    save(small_model(), tmp_path)
    weights = (tmp_path / WEIGHTS).read_bytes()
    found = {"parameters": {"iterations": 5, "appearance": None}, "helps": True}
    assert load(tmp_path).crf is None

    store_crf(tmp_path, found)
    model = load(tmp_path)

    assert model.crf == found
    assert (tmp_path / WEIGHTS).read_bytes() == weights
    save(model, tmp_path / "again")
    assert load(tmp_path / "again").crf == found


def test_a_temperature_is_kept_beside_the_same_weights_and_can_be_taken_back(tmp_path):
    save(small_model(), tmp_path)
    weights = (tmp_path / WEIGHTS).read_bytes()
    store_crf(tmp_path, {"helps": True})
    store_calibration(tmp_path, {"temperature": 1.5})
    assert load(tmp_path).calibration == {"temperature": 1.5}
    assert load(tmp_path).crf == {"helps": True}
    assert (tmp_path / WEIGHTS).read_bytes() == weights
    save(load(tmp_path), tmp_path / "again")
    assert load(tmp_path / "again").calibration == {"temperature": 1.5}
    store_calibration(tmp_path, None)
    assert load(tmp_path).calibration is None


def test_a_folder_that_cannot_take_a_crf_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    save(small_model(), tmp_path)
    monkeypatch.setattr("atrous.weights.model_folder.write_text", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left.*not stored"):
        store_crf(tmp_path, {})
    with pytest.raises(InputError, match=r"cannot write .*calibration not stored: make"):
        store_calibration(tmp_path, {})
