"""The demo runs the whole job, leaves everything in one folder and harms nothing that is there."""

import json

import numpy as np
import pytest
from PIL import Image

from atrous.cli import demo_steps
from atrous.cli.demo import DemoConfig, free_folder, run
from atrous.cli.main import main
from atrous.data.synthetic import SCENE_LABELS
from atrous.errors import InputError


def test_a_tiny_demo_runs_to_the_end_and_shows_where_everything_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_steps, "UNSEEN", 6)
    out = tmp_path / "demo"
    assert run(DemoConfig(out=out, iterations=2, images=8)) == 0
    said = capsys.readouterr().out
    assert "6 unseen scenes" in said
    assert str(out / "run" / "report.html") in said
    assert "atrous train --data" in said
    assert (out / "run" / "report.html").stat().st_size > 10_000
    assert (out / "run" / "model" / "model.safetensors").stat().st_size < 20_000_000
    overlays = sorted((out / "predictions").glob("*-overlay.png"))
    assert len(overlays) == 6
    for overlay in overlays:
        mask = _picture(overlay.with_name(overlay.name.replace("-overlay", "")))
        assert mask.shape == (160, 160)
        assert mask.max() < len(SCENE_LABELS)
        photo = _picture(overlay.with_name(overlay.name.replace("-overlay.png", "-image.jpg")))
        assert _picture(overlay).shape == photo.shape == (160, 160, 3)


@pytest.mark.slow
def test_a_tenth_of_the_training_is_not_enough(tmp_path, capsys):
    """Or the scenes would be trivial; that the whole is enough is checked after `make demo`."""
    assert main(["demo", "--json", "--out", str(tmp_path / "demo"), "--iterations", "70"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert DemoConfig().iterations == 700
    assert 0.2 < found["mean_iou"] < 0.60


def _picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; give another --out"):
        run(DemoConfig(out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_default_folder_counts_up_where_earlier_demos_lie(tmp_path):
    wanted = tmp_path / "demo"
    assert free_folder(wanted, given=False) == wanted
    for name in ("demo", "demo-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    assert free_folder(wanted, given=False) == tmp_path / "demo-3"


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"images": 0}])
def test_a_count_below_one_is_refused(wrong):
    with pytest.raises(InputError, match="at least 1"):
        DemoConfig(**wrong)


def test_ctrl_c_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    """`fit` returns a result without a predictor when it was interrupted and has saved."""
    import atrous.training
    from atrous.training import RunResult

    def interrupted(config, **_):
        return RunResult(
            config.out, config.out / "model", step=1, evaluation=None, spec=None, predictor=None
        )

    monkeypatch.setattr(atrous.training, "fit", interrupted)
    assert run(DemoConfig(out=tmp_path / "demo", iterations=2, images=2)) == 130
    said = capsys.readouterr()
    assert f"atrous train --resume {tmp_path / 'demo' / 'run'}" in said.out + said.err


def test_predict_only_needs_no_training_and_is_right_on_most_pixels(tmp_path, capsys):
    out = tmp_path / "seen"
    assert run(DemoConfig(out=out, predict_only=True)) == 0
    assert str(out) in capsys.readouterr().out
    assert len(list(out.glob("scene-*-overlay.png"))) == 6
    right = seen = 0
    from atrous.data import make_scene

    for index in range(6):
        _, labels = make_scene(np.random.default_rng((0, 9, index)), (256, 256))
        mask = _picture(out / f"scene-{index}-mask.png")
        right += (mask == labels).sum()
        seen += labels.size
    assert right / seen > 0.85


def test_the_shipped_model_is_small_free_and_tells_where_it_comes_from():
    from atrous.weights import load
    from atrous.weights.sources import find_model

    folder = find_model("street-scenes")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 6_000_000
    config = json.loads((folder / "config.json").read_text())
    assert config["licence"] == "Apache-2.0"
    assert config["provenance"]
    assert load("street-scenes").label_set == SCENE_LABELS


def test_a_demo_with_a_crf_searches_one_and_says_what_it_does(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_steps, "UNSEEN", 6)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--iterations", "2", "--images", "8", "--crf"]) == 0
    assert "With the CRF: mIoU 0." in capsys.readouterr().out
    stored = json.loads((out / "run" / "model" / "config.json").read_text())["crf"]
    assert stored["images"] == 2


def test_the_shipped_model_can_be_sharpened_too(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--predict-only", "--crf", "deeplab"]) == 0
    assert "of the pixels right" in capsys.readouterr().out
