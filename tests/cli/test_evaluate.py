import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.main import main
from atrous.data import open_data


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Make six pairs of two classes, and masks that find half of the second class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 4)):
        for kind in ("images", "masks"):
            Path("data", split, kind).mkdir(parents=True)
        for index in range(count):
            labels = np.zeros((40, 60), np.uint8)
            labels[10:30, 5 : 20 + 5 * index] = 1
            picture = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            Image.fromarray(picture).save(Path("data", split, "images", f"{index}.png"))
            Image.fromarray(labels).save(Path("data", split, "masks", f"{index}.png"))
    Path("found").mkdir()
    Path("nothing").mkdir()
    for path in Path("data/val/masks").iterdir():
        with Image.open(path) as mask:
            labels = np.asarray(mask).copy()
        labels[20:] = 0
        Image.fromarray(labels).save(Path("found") / path.name)
        Image.fromarray(labels * 0).save(Path("nothing") / path.name)
    Path("data/data.yaml").write_text("path: .\ntrain: train\nval: val\nnames: [wall, crack]\n")
    return "data"


def test_every_class_and_the_trivial_baseline_stand_beside_the_mean(data, capsys):
    assert main(["evaluate", "--predictions", "found", "--data", data]) == 0
    out = capsys.readouterr().out
    assert "over 2 of 2 classes" in out
    assert "all wall would score 0.4" in out
    assert "(95 % 0." in out
    crack = next(line.split() for line in out.splitlines() if line.split()[:1] == ["crack"])
    assert crack[1] == crack[2] == "0.500"
    assert "learnt nothing" not in out


def test_boundary_scores_and_what_the_means_leave_out_are_told(data, capsys):
    words = ["evaluate", "--predictions", "found", "--data", data, "--exclude", "wall"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["excluded"] == ["wall"]
    assert told["mean_iou"] == told["iou"][1] == 0.5
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "over 1 of 2 classes" in out
    assert "not in the means: wall (excluded)" in out
    assert "boundary F1 0." in out
    assert "boundary IoU 0." in out
    assert "calibration" not in out  # finished masks say nothing of their confidence


def test_a_report_holds_the_page_the_table_and_the_result(data, capsys):
    words = ["evaluate", "--predictions", "found", "--data", data, "--report", "deep/report"]
    assert main(words) == 0
    assert "Report: deep/report/report.html" in capsys.readouterr().out
    folder = Path("deep/report")
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.csv",
        "report.html",
        "result.json",
    ]
    assert json.loads((folder / "result.json").read_text())["iou"][1] == 0.5
    assert len((folder / "images.csv").read_text().splitlines()) == 5


def test_a_table_of_images_is_written_and_a_wrong_name_told_before_scoring(data, capsys):
    words = ["evaluate", "--predictions", "found", "--data", data, "--images-table"]
    assert main([*words, "deep/images.csv"]) == 0
    assert "Images: deep/images.csv" in capsys.readouterr().out
    assert len(Path("deep/images.csv").read_text().splitlines()) == 5
    assert main([*words, "images.xls"]) == 1
    assert "name it .csv or .parquet" in capsys.readouterr().err


def test_a_model_is_scored_as_a_paper_did(data, capsys):
    words = ["evaluate", "street-scenes", "--data", data, "--protocol", "psp", "--tile", "64"]
    Path(data, "data.yaml").unlink()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    stamp = told["protocol"]
    assert (stamp["protocol"], stamp["flip"], stamp["tile"]) == ("psp", True, [64, 64])
    assert stamp["tile_overlap"] == [32, 32]  # the coarsest stride, as a quarter would be less
    assert "Zhao" in stamp["protocol_source"]
    assert stamp["model"] == "street-scenes"
    assert told["figures"]["expected_calibration_error"]["value"] > 0
    assert told["reliability"]


def test_labels_of_nothing_but_void_are_said_to_be_so(data, capsys):
    Path(data, "data.yaml").write_text("path: .\ntrain: train\nval: val\nnames: [wall, crack]\n")
    for path in Path(data, "val", "masks").iterdir():
        Image.fromarray(np.full((40, 60), 255, np.uint8)).save(path)
    assert main(["evaluate", "--predictions", "found", "--data", data]) == 1
    out = capsys.readouterr().out
    assert "Nothing could be scored: all is void in the labels of this split." in out
    assert "nan" not in out


def test_masks_of_one_class_have_learnt_nothing(data, capsys):
    assert main(["evaluate", "--predictions", "nothing", "--data", data]) == 0
    assert "has learnt nothing yet" in capsys.readouterr().out


def test_json_and_the_result_file_hold_the_same(data, capsys):
    words = ["evaluate", "--predictions", "found", "--data", data, "--out", "deep/result.json"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(Path("deep/result.json").read_text())
    assert told["iou"][1] == 0.5
    assert told["names"] == ["wall", "crack"]
    assert told["images"] == 4


def test_faults_of_the_data_stop_it_unless_they_are_left_out(data, capsys):
    Path("data/val/images/3.png").write_bytes(b"")
    words = ["evaluate", "--predictions", "found", "--data", data]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert "3.png has 0 bytes" in captured.out
    assert "--skip-bad" in captured.err


def test_a_fault_of_the_whole_folder_is_not_left_out_pair_by_pair(data, capsys):
    Path(data, "data.yaml").unlink()
    for path in Path(data).rglob("masks/*.png"):
        Image.fromarray(np.full((40, 60, 3), (9, 0, 0), np.uint8)).save(path)
    words = ["evaluate", "--predictions", "found", "--data", data]
    for more in ([], ["--skip-bad"]):
        assert main([*words, *more]) == 1
        told = capsys.readouterr().err.splitlines()[-1]
        assert "no pair can be used: data has 6 masks in colour" in told
        assert "write names and colours" in told
        assert "--skip-bad" not in told


def test_where_every_pair_is_bad_there_is_nothing_to_go_on_with(data, capsys):
    for path in Path(data).rglob("images/*.png"):
        path.write_bytes(b"")
    assert main(["evaluate", "--predictions", "found", "--data", data, "--skip-bad"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert "no pair of data can be used; the first fault: data/train/images/0.png has 0" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either a model, or --predictions"),
        (["runs/model", "--predictions", "found"], "both came"),
        (["--predictions", "lost"], "no folder lost"),
        (["--predictions", "found", "--split", "vall"], "did you mean val"),
        (["steet-scenes"], "did you mean street-scenes"),
        (["--predictions", "found", "--exclude", "crakc"], "unknown class 'crakc'; did you mean"),
        (["street-scenes", "--protocol", "pspp"], "did you mean psp"),
        (["--predictions", "found", "--protocol", "psp"], "--protocol: says how a model looks"),
        (
            ["--predictions", "found", "--scales", "0.5,1", "--flip", "--device", "cuda"],
            "--scales, --flip, --device: says how a model looks at images, but finished masks came",
        ),
        (["--predictions", "found", "--no-flip"], "--flip: says how a model looks at images"),
        (["--predictions", "found", "--tile", "64"], "--tile: says"),
        (["--predictions", "found", "--precision", "bf16"], "--precision: says"),
        (["--predictions", "found", "--crf"], "--crf needs a model's probabilities"),
    ],
)
def test_mistakes_get_one_line(data, capsys, words, told):
    assert main(["evaluate", *words, "--data", data]) in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert told in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "found"], "found is a folder, but a file is to be written"),
        (["--out", "data/data.yaml/x.json"], "data/data.yaml/x.json cannot be written: "),
        (["--report", "data/data.yaml"], "data/data.yaml/report.html cannot be written: "),
        (["--images-table", "found.csv/x/images.csv"], "found.csv is a file, no folder"),
    ],
)
def test_a_place_where_no_file_can_be_is_told_before_anything_is_scored(data, capsys, words, told):
    Path("found.csv").touch()
    assert main(["evaluate", "--predictions", "found", "--data", data, *words]) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert ".part" not in captured.err
    assert "Data" not in captured.out


def test_the_protocol_stands_below_the_figures_and_in_every_row_of_the_table(data, capsys):
    words = ["evaluate", "--predictions", "found", "--data", data, "--images-table", "images.csv"]
    assert main(words) == 0
    shown = open_data(data).fingerprint[:8]
    line = f"protocol: finished masks, read as class indices; data {shown}, val"
    assert line in capsys.readouterr().out.splitlines()
    rows = list(csv.DictReader(Path("images.csv").read_text().splitlines()))
    assert [row["protocol"] for row in rows] == [line] * 4


def test_a_papers_protocol_is_printed_with_what_it_departs_in(data, capsys):
    Path(data, "data.yaml").unlink()
    words = ["evaluate", "street-scenes", "--data", data, "--device", "cpu"]
    assert main([*words, "--protocol", "psp", "--tile", "64"]) == 0
    out = capsys.readouterr().out
    assert "protocol psp: scales 1, flip, tile 64, eager, fp32, cpu; data " in out
    assert "\ndeparts from the paper: " in out
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "\nprotocol: scales 1, " in out
    assert "departs" not in out


def test_a_missing_model_is_told_before_the_data_are_looked_through(data, capsys):
    assert main(["evaluate", "runs/lost/model", "--data", data]) == 1
    captured = capsys.readouterr()
    assert "no model at runs/lost/model" in captured.err
    assert "Data" not in captured.out


def test_images_darker_than_those_a_model_was_trained_on_are_told(data, capsys):
    import cv2

    Path(data, "data.yaml").unlink()
    for path in Path(data).rglob("images/*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 16)
    assert main(["evaluate", "street-scenes", "--data", data]) == 0
    told = capsys.readouterr().err
    assert "warning: the images use only values up to 4,095 of 65,535" in told
    assert "taken for the first 2 of the model's 9 classes" in told


def test_scoring_masks_imports_no_torch(data):
    script = (
        "import sys; from atrous.cli.main import main\n"
        "code = main(['evaluate', '--predictions', 'found', '--data', 'data'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False"
