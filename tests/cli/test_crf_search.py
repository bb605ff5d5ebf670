import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.crf_search import advice, gain_line
from atrous.cli.main import main
from atrous.crf import DenseCRF
from atrous.evaluation.crf_search import CRFSearch, Gain


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Save an untrained network and two labelled images."""
    import torch

    import atrous

    root = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    network = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=2
    )
    atrous.save(network, root / "model")
    rng = np.random.default_rng(0)
    for index in range(2):
        labels = np.zeros((40, 48), np.uint8)
        labels[10:30, 8 : 30 + index] = 1
        picture = (90 * labels[..., None] + rng.integers(0, 99, (40, 48, 3))).astype(np.uint8)
        for kind, pixels in (("images", picture), ("masks", labels)):
            path = root / "data" / "val" / kind / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "data" / "data.yaml").write_text("path: .\nval: val\nnames: [class_0, class_1]\n")
    return root


def test_the_best_parameters_are_stored_and_used_by_name(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    assert main(["predict", "model", "data/val/images", "--crf"]) == 1
    assert "crf-search MODEL --data D" in capsys.readouterr().err

    assert main(["crf-search", "model", "--data", "data"]) == 0

    out = capsys.readouterr().out
    assert "CRFs on 2 images of val" in out
    assert "Best: w1 " in out
    assert "Stored: model/config.json" in out
    assert "No advice: 2 images" in out
    stored = json.loads(Path("model/config.json").read_text())["crf"]
    assert stored["images"] == 2
    assert stored["protocol"]["crf"] is None
    assert main(["predict", "model", "data/val/images", "--crf", "--out", "masks"]) == 0
    note = json.loads(Path("masks/predictions.json").read_text())
    assert note["crf"] == stored["parameters"]
    capsys.readouterr()
    assert main(["evaluate", "model", "--data", "data", "--crf", "pydensecrf", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["protocol"]["crf"]["appearance"]["rgb_std"] == 13


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lost", "--data", "data"], "no model at lost"),
        (["model", "--data", "data", "--split", "vall"], "did you mean val"),
        (["model", "--data", "data", "--images", "0"], "--images is 0"),
        (["data", "--data", "data"], "has no model.safetensors"),
    ],
)
def test_mistakes_get_one_line(home, capsys, monkeypatch, words, told):
    monkeypatch.chdir(home)
    assert main(["crf-search", *words]) in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert told in error


@pytest.mark.parametrize(
    ("model", "told"), [("lost", "no model at lost"), ("data", "no model.saf")]
)
def test_the_model_is_looked_for_before_the_data(home, capsys, monkeypatch, model, told):
    """Data may take minutes to look through; here there are none, so that is told second."""
    monkeypatch.chdir(home)

    assert main(["crf-search", model, "--data", "nowhere"]) == 1

    assert told in capsys.readouterr().err
    assert main(["crf-search", "model", "--data", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        ((0.002, 0.01), "It helps: .*Next: atrous predict m IMAGES --crf"),
        ((-0.002, 0.01), "Do not use .* cannot be told from none"),
        ((-0.02, -0.01), "Do not use .* lowers the mIoU"),
        ((float("nan"), float("nan")), "Do not use .* cannot be told from none"),
    ],
)
def test_the_advice_follows_the_interval(interval, told):
    import re

    gain = Gain(0.7, 0.704, interval)
    found = CRFSearch(DenseCRF(), {(3, 30, 3): 0.704}, gain, gain, 30)

    assert re.search(told, advice(found, "m", is_kept=True))


def test_few_images_are_no_ground_for_advice():
    gain = Gain(0.7, 0.75, (0.04, 0.06))
    found = CRFSearch(DenseCRF(), {(3, 30, 3): 0.75}, gain, gain, 3)

    assert not found.helps
    assert advice(found, "m", is_kept=True) == (
        "No advice: 3 images say too little, 20 or more are needed."
    )


def test_a_gain_has_its_sign_and_its_interval():
    line = gain_line("mIoU", Gain(0.7, 0.6975, (-0.004, 0.001)))

    assert line == "  mIoU         0.7000 -> 0.6975   -0.0025 (95 % -0.0040 to +0.0010)"
