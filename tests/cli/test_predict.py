import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli import predict
from atrous.cli.main import main
from atrous.inference import BatchResult, PredictConfig
from atrous.inference.run import Failure


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Save an untrained network and return its folder."""
    import torch

    import atrous

    torch.manual_seed(0)
    network = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=3
    )
    folder = tmp_path_factory.mktemp("run") / "model"
    atrous.save(network, folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (48, 64)), ("b.png", (65, 33))):
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(Path("photos") / name)
    return "photos"


def test_a_folder_becomes_a_folder_of_masks(model, photos, capsys):
    assert main(["predict", model, photos, "--overlay"]) == 0
    captured = capsys.readouterr()
    assert "Masks: photos-masks   (2 written" in captured.out
    assert "images 2/2" in captured.err
    with Image.open("photos-masks/b.png") as mask:
        assert mask.size == (33, 65)
        assert mask.mode == "P"
    assert Path("photos-masks/a-overlay.jpg").exists()


def test_a_broken_image_costs_the_exit_code_and_nothing_else(model, photos, capsys):
    Path("photos/c.jpg").touch()
    assert main(["predict", model, photos]) == 1
    out = capsys.readouterr().out
    assert out.startswith("1 failed  photos/c.jpg has 0 bytes")
    assert "(2 written" in out


def test_json_is_one_object_that_lists_everything(model, photos, capsys):
    Path("photos/c.jpg").touch()
    assert main(["predict", model, photos, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == ["photos-masks/a.png", "photos-masks/b.png"]
    assert told["failed"][0]["image"] == "photos/c.jpg"
    assert told["interrupted"] is False


def test_a_used_folder_is_not_overwritten_but_can_be_resumed(model, photos, capsys):
    main(["predict", model, photos])
    assert main(["predict", model, photos]) == 1
    assert "not empty; --resume goes on there, --out" in capsys.readouterr().err
    assert main(["predict", model, photos, "--resume"]) == 0
    assert "(0 written, 2 there before)" in capsys.readouterr().out


def test_results_among_the_images_are_not_taken_for_images(model, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    assert main(["predict", model, "."]) == 0
    capsys.readouterr()
    assert main(["predict", model, ".", "--overlay", "--resume"]) == 0
    assert "(2 written" in capsys.readouterr().out
    assert len(list(Path().rglob("*.png"))) == 1 + 2


def test_a_batch_without_a_result_leaves_no_folder_in_the_way(model, photos, capsys):
    Path("one.png").write_bytes(b"")
    assert main(["predict", model, "one.png"]) == 1
    assert "No mask was written" in capsys.readouterr().out
    assert not Path("one-masks").exists()
    Path("photos/b.png").rename("one.png")
    Path("one-masks").mkdir()
    Path("one-masks/predictions.json").write_text('{"weights": "x", "images": {}}')  # killed
    assert main(["predict", model, "one.png"]) == 0


def test_a_review_lists_images_by_doubt_and_draws_where(model, photos, capsys):
    assert main(["predict", model, photos, "--uncertainty", "flip", "--review"]) == 0
    out = capsys.readouterr().out
    heading = " ".join(out.splitlines()[0].split())
    assert heading == "doubt image region (x, y, w x h) taken for"
    assert "Review: photos-masks/review.html   (2 images, by doubt)" in out
    told = json.loads(Path("photos-masks/review.json").read_text())
    assert told["method"] == "flip"
    first, second = told["images"]
    assert first["doubt"] >= second["doubt"] > 0
    assert {first["image"], second["image"]} == {"photos/a.jpg", "photos/b.png"}
    rows = Path("photos-masks/review.csv").read_text().splitlines()
    assert rows[0].startswith("image,mask,doubt,mutual_information,variance,left,top,width,height")
    assert len(rows) == 3
    page = Path("photos-masks/review.html").read_text()
    assert page.count("<img ") == 6
    assert "photos/a.jpg" in page

    again = ["predict", model, photos, "--uncertainty", "flip", "--review", "--resume", "--json"]
    assert main(again) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["skipped"] == 2
    assert content["review"]["page"] == "photos-masks/review.html"
    assert content["review"]["images"] == told["images"]


def test_a_review_alone_takes_the_entropy_of_one_pass(model, photos, capsys):
    assert main(["predict", model, photos, "--review"]) == 0
    assert json.loads(Path("photos-masks/review.json").read_text())["method"] == "entropy"
    assert Path("photos-masks/a-entropy.png").exists()
    assert main(["predict", model, photos, "--resume"]) == 1
    assert "made with uncertainty" in capsys.readouterr().err


def test_too_few_samples_are_told(model, photos, capsys):
    assert main(["predict", model, photos, "--uncertainty", "mc_dropout", "--samples", "1"]) == 2
    assert "--samples is 1; give 2 or more" in capsys.readouterr().err


@pytest.mark.parametrize("method", [[], ["--uncertainty", "flip"], ["--review"]])
def test_samples_that_nothing_draws_are_refused(model, photos, capsys, method):
    assert main(["predict", model, photos, *method, "--samples", "5"]) == 2
    told = "--samples is 5, but only --uncertainty mc_dropout draws samples; add that, or leave"
    assert told in capsys.readouterr().err


def test_a_misspelt_input_is_told_before_the_model_is_loaded(photos, capsys):
    assert main(["predict", "no-such-model", "fotos"]) == 1
    assert capsys.readouterr().err.strip() == "error: no file or folder fotos; did you mean photos?"


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    stopped = BatchResult(Path("out"), written=[Path("out/a.png")], interrupted=True, seconds=1.0)
    monkeypatch.setattr(predict, "predict_batch", lambda config, progress: stopped)
    config = PredictConfig(
        model="m",
        inputs=("my photos", "*.jpg"),
        overlay=True,
        scales=(0.5, 1.0),
        tile=512,
        uncertainty="mc_dropout",
        samples=8,
        review=True,
    )
    assert predict.run(config) == 130
    out = capsys.readouterr().out
    assert (
        "Go on: atrous predict m 'my photos' '*.jpg' --out out --overlay --review "
        "--uncertainty mc_dropout --samples 8 --scales 0.5,1.0 --tile 512 --resume" in out
    )


def test_a_full_disk_and_many_failures_are_told_in_a_few_lines(monkeypatch, capsys):
    failures = [Failure(Path(f"{i}.jpg"), f"{i}.jpg has 0 bytes") for i in range(25)]
    full = BatchResult(Path("out"), failures=failures, stopped="out/x.png could not be written")
    monkeypatch.setattr(predict, "predict_batch", lambda config, progress: full)
    assert predict.run(PredictConfig(model="m", inputs=("x",))) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "25 failed"
    assert lines[21] == "  and 5 more: --json lists them all"
    assert lines[22] == "out/x.png could not be written"


def test_predict_imports_no_training_no_plots_no_foreign_networks(model, photos):
    heavy = ("lightning", "matplotlib", "timm", "torchvision", "torchmetrics", "tensorboard")
    script = (
        "import sys; from atrous.cli.main import main\n"
        f"code = main(['predict', {model!r}, 'photos/a.jpg', '--overlay', '--out', 'one'])\n"
        f"print(code, [name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
