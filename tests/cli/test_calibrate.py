import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.calibrate import verdict
from atrous.cli.main import main
from atrous.data import open_data
from atrous.evaluation.calibrate_config import CalibrateConfig
from atrous.evaluation.temperature import Calibration

NAMED = "path: .\nval: val\nnames: [class_0, class_1]\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Save an untrained network and four labelled images."""
    import torch

    import atrous

    root = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    network = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=2
    )
    network.head.bias.data.copy_(torch.tensor([3.0, -3.0]))  # much too sure
    atrous.save(network, root / "model")
    rng = np.random.default_rng(0)
    for index in range(4):
        labels = rng.integers(0, 2, (4, 6), dtype=np.uint8).repeat(10, 0).repeat(8, 1)
        picture = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        for kind, pixels in (("images", picture), ("masks", labels)):
            path = root / "data" / "val" / kind / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "data" / "data.yaml").write_text(NAMED)
    return root


def test_the_temperature_is_stored_told_and_used(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    weights = Path("model/model.safetensors").read_bytes()
    assert main(["evaluate", "model", "--data", "data", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)

    assert main(["calibrate", "model", "--data", "data"]) == 0

    out = capsys.readouterr().out
    assert "Temperature " in out
    assert "7 680 pixels of 4 images of val" in out
    assert "Stored: model/config.json" in out
    assert "nats (95 % " in out
    assert "Next:" not in out  # val is all there is, and it was fitted on that
    stored = json.loads(Path("model/config.json").read_text())["calibration"]
    assert stored["temperature"] > 1
    assert stored["split"] == "val"
    assert stored["protocol"]["temperature"] is None
    assert Path("model/model.safetensors").read_bytes() == weights

    assert main(["evaluate", "model", "--data", "data", "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["confusion_rows_are_ground_truth"] == before["confusion_rows_are_ground_truth"]
    assert after["protocol"]["temperature"] == stored["temperature"]
    plain = before["figures"]["expected_calibration_error"]["value"]
    figures = after["figures"]
    assert figures["expected_calibration_error"]["value"] < plain
    assert figures["expected_calibration_error_uncalibrated"]["value"] == pytest.approx(plain)
    assert main(["evaluate", "model", "--data", "data"]) == 0
    out = capsys.readouterr().out
    assert f"without the model's temperature {plain:.3f}" in out
    assert "the model's temperature was fitted on this split" in out
    assert after["protocol"]["temperature_fitted_here"] is True
    assert "temperature_fitted_here" not in before["protocol"]

    shutil.copytree("data/val", "data/test", dirs_exist_ok=True)
    Path("data/data.yaml").write_text(NAMED + "test: test\n")
    assert main(["evaluate", "model", "--data", "data", "--split", "test"]) == 0
    assert "fitted on this split" not in capsys.readouterr().out
    assert main(["calibrate", "model", "--data", "data"]) == 0
    assert "Next: atrous evaluate model --data data --split test" in capsys.readouterr().out
    assert main(["evaluate", "model", "--data", "data", "--split", "test"]) == 0
    assert "fitted on this split" not in capsys.readouterr().out
    Path("data/data.yaml").write_text(NAMED)


def test_the_split_that_it_was_trained_on_is_refused(home, capsys, monkeypatch):
    import atrous

    monkeypatch.chdir(home)
    shutil.copytree("data", "whole")
    shutil.copytree("data/val", "whole/train")
    Path("whole/data.yaml").write_text(NAMED + "train: train\n")
    words = ["calibrate", "trained", "--data", "whole", "--split", "train"]
    atrous.save(atrous.load("model"), "trained")
    main(words)
    assert "warning: if trained was trained on this split" in capsys.readouterr().err
    known = {"data": open_data("whole").fingerprint}
    atrous.save(atrous.load("model"), "trained", provenance=known)
    assert main(words) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "trained was trained on split train of these data" in error
    assert "take images that it was not trained on: --split val" in error
    assert main([*words[:-1], "val"]) == 0


def test_json_is_one_object_with_both_errors(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    assert main(["calibrate", "model", "--data", "data", "--images", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 2
    assert set(told["expected_calibration_error"]) == {"before", "after"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-model", "--data", "data"], "no-model"),
        (["model", "--data", "data", "--images", "0"], "--images is 0; give at least 1"),
        (["model", "--data", "data", "--split", "vall"], "did you mean val"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(home, capsys, monkeypatch, words, told):
    monkeypatch.chdir(home)
    assert main(["calibrate", *words]) in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in error


def found(temperature=1.5, gain=(0.05, 0.15)):
    return Calibration(temperature, (0.1, 0.02), (0.5, 0.4), gain, 1000, 10)


def test_what_does_not_help_is_not_stored_and_a_bound_is_named():
    config = CalibrateConfig(model="m", data=Path("d"))

    def told(calibration, is_kept=True, others=()):
        return verdict(calibration, config, is_kept, others)

    chance = "Not stored: a gain of 0.1000 nats (95 % -0.0100 to 0.2100) on images that it was not"
    assert told(found(gain=(-0.01, 0.21))).startswith(chance)
    assert told(found(gain=(float("nan"),) * 2)).startswith("Not stored: one image cannot tell")
    assert "the end of what is allowed" in told(found(temperature=0.1))
    assert told(found(), is_kept=False) == "Not stored: m is no model folder of yours."
    gain = "a gain of 0.1000 nats (95 % 0.0500 to 0.1500) on images that it was not fitted on."
    assert told(found()) == f"Stored: m/config.json, used for every probability; {gain}"
    assert told(found(), others=["test"]).endswith("Next: atrous evaluate m --data d --split test")
