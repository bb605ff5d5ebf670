"""`atrous train` as it is typed: what it prints, what it leaves, how it exits."""

import json
from pathlib import Path

import pytest

from atrous.cli.main import main
from atrous.data import write_scenes
from atrous.files import write_bytes

NETWORK = [
    *("--encoder", "mobilenet_v2_035", "--weights", "none", "--batch-size", "4"),
    *("--options", "aspp_channels=16,decoder_channels=16,skip_channels=8"),
    *("--workers", "0", "--crop", "48", "--precision", "fp32", "--device", "cpu"),
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 6, "val": 2}, size=(48, 64), seed=3)
    return folder


def test_a_run_says_what_it_found_and_leaves_its_files(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["train", "--data", str(scenes), "--out", str(run), "--iterations", "2", *NETWORK]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "Data     6 train, 2 val, 9 classes" in printed.out
    assert (
        "Plan     batch 4, crops 48x48, sgd lr 0.02 poly, fp32 on cpu; 2 iterations" in printed.out
    )
    assert "of 9 classes, at label size; all " in printed.out
    assert f"Next: atrous predict {run / 'model'}" in printed.out
    assert "iteration 2/2" in printed.err
    assert "scoring 2/2" in printed.err
    left = {path.name for path in run.iterdir() if not path.name.startswith("events")}
    assert left == {
        *("config.yaml", "environment.json", "metrics.jsonl"),
        *("last.ckpt", "model", "report.html"),
    }
    assert any(path.name.startswith("events.out.tfevents") for path in run.iterdir())

    assert main(["train", "--resume", str(run)]) == 1
    assert "is finished (2 of 2 iterations)" in capsys.readouterr().err
    assert main(["evaluate", str(run / "model"), "--data", str(scenes), "--json"]) == 0
    score = json.loads(capsys.readouterr().out)["mean_iou"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert score == max(line["mean_iou"] for line in lines if line["split"] == "val")


def test_without_val_training_and_evaluation_hold_out_the_same_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes, run = tmp_path / "scenes", tmp_path / "run"
    write_scenes(scenes, {"train": 6}, size=(48, 64), seed=3)
    words = ["train", "--data", str(scenes), "--out", str(run), "--iterations", "1", *NETWORK]
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    trained = json.loads(printed.out)
    assert "no val split: the last 1 of 6 pairs by name are held out as val" in printed.err
    assert [image["image"] for image in trained["per_image"]] == ["00005.jpg"]

    assert main(["evaluate", str(run / "model"), "--data", str(scenes), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["mean_iou"] == trained["mean_iou"]
    assert scored["per_image"] == trained["per_image"]


@pytest.mark.parametrize(
    "late", ["atrous.training.run.evaluate", "atrous.reports.write_training_report"]
)
def test_ctrl_c_after_the_last_step_says_how_to_go_on_and_only_that_is_done(
    late: str,
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "my run"
    words = ["train", "--data", str(scenes), "--out", str(run), "--iterations", "2", *NETWORK]

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(late, interrupted)
        assert main(words) == 130
    assert f"Go on: atrous train --resume '{run}'" in capsys.readouterr().err
    assert not (run / "report.html").exists()

    def trained(*_: object, **__: object) -> None:
        raise AssertionError("there is nothing left to train")

    monkeypatch.setattr("atrous.training.run.plan_run", trained)
    assert main(["train", "--resume", str(run)]) == 0
    printed = capsys.readouterr()
    assert "Plan" not in printed.out
    assert "scoring 2/2" in printed.err
    assert "at label size; all " in printed.out
    assert (run / "report.html").exists()


def test_json_is_one_object_on_stdout(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(scenes), "--out", str(tmp_path / "r"), "--iterations", "1"]
    assert main([*words, *NETWORK, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["iterations"] == 1
    assert answer["classes"] == 9


def test_every_fault_is_listed_and_nothing_is_made(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    write_scenes(broken, {"train": 4, "val": 2}, size=(48, 64), seed=4)
    images = sorted((broken / "train/images").iterdir())
    write_bytes(images[0], b"")
    write_bytes(images[1], images[1].read_bytes()[:-200])
    images[2].unlink()
    run = tmp_path / "run"
    words = ["train", "--data", str(broken), "--out", str(run), "--iterations", "1", *NETWORK]
    assert main(words) == 1
    printed = capsys.readouterr()
    everything = printed.out + printed.err
    for image in images[:3]:
        assert image.stem in everything
    assert "3 faults" in everything
    assert not run.exists()
    assert main([*words, "--skip-bad"]) == 0
    told = capsys.readouterr()
    assert (told.out + told.err).count("skipped: ") == 3
    assert "Skipped  the pairs of 3 files with faults" in told.out + told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "unett"], "unknown model 'unett'; did you mean unet"),
        (["--encoder", "resnet5"], "did you mean resnet50"),
        (["--options", "output_strid=8"], "did you mean output_stride"),
        (["--options", "output_stride=12"], "output_stride is 12; choose 8, 16 or 32"),
        (["--encoder", "resnet18", "--options", "padding=same"], "has no padding='same'"),
        (["--model", "unet", "--options", "output_stride=8"], "belong to an encoder; name it too"),
        (["--weights", "no-such-file.pth"], "no-such-file.pth does not exist"),
        (["--model", "unet", "--weights", "imagenet"], "there are no encoder weights"),
        (["--encoder", "mobilenet_v2_035", "--weights", "imagenet"], "no public ImageNet weights"),
        (
            ["--model", "unet", "--auxiliary-weight", "0.4"],
            "--auxiliary-weight is 0.4, but unet with these options has no auxiliary scores; leave",
        ),
    ],
)
def test_what_was_typed_is_judged_before_the_data_are_looked_through(
    words: list[str],
    told: str,
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scanned(*_: object, **__: object) -> None:
        raise AssertionError("the data were touched")

    monkeypatch.setattr("atrous.cli.data_faults.open_data", scanned)
    run = tmp_path / "run"
    base = ["train", "--data", str(scenes), "--out", str(run), "--device", "cpu"]
    assert main([*base, *words]) == 1
    assert told in capsys.readouterr().err
    assert not run.exists()
