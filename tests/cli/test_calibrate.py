import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.calibrate import verdict
from atrous.cli.main import main
from atrous.evaluation.calibrate_config import CalibrateConfig
from atrous.evaluation.temperature import Calibration


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
    (root / "data" / "data.yaml").write_text("path: .\nval: val\nnames: [class_0, class_1]\n")
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
    assert "Next: atrous evaluate model --data data" in out
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
    assert f"without the model's temperature {plain:.3f}" in capsys.readouterr().out


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


def found(temperature=1.5, after=0.4):
    return Calibration(temperature, (0.1, 0.02), (0.5, after), 1000, 10)


def test_what_does_not_help_is_not_stored_and_a_bound_is_named():
    config = CalibrateConfig(model="m", data=Path("d"))
    assert verdict(found(after=0.5), config, True).startswith("Not stored: on images that")
    assert "the end of what is allowed" in verdict(found(temperature=0.1), config, True)
    assert verdict(found(), config, False) == "Not stored: m is no model folder of yours."
