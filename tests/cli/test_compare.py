"""`atrous compare` as it is typed: plan, table, restart, failure, Ctrl-C; tiny networks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atrous.cli.main import main
from atrous.data import write_scenes

BROKEN, SOUND = "deeplab_v3_plus/mobilenet_v2", "deeplab_v3_plus/mobilenet_v2_035"
HOW = [
    *("--batch-size", "4", "--crop", "48", "--precision", "fp32", "--device", "cpu"),
    *("--workers", "0"),
]
RANDOM = ["--weights", "none"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 6, "val": 3}, size=(48, 64), seed=3)
    return folder


def typed(scenes: Path, out: Path, models: str, *more: str) -> list[str]:
    return ["compare", "--data", str(scenes), "--models", models, "--out", str(out), *HOW, *more]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "unet,unett"], "unknown network or folder 'unett'; did you mean unet"),
        (["--models", "unet", "--split", "tset"], "unknown split 'tset'"),
    ],
)
def test_what_was_typed_is_judged_before_anything_is_made(
    words: list[str],
    told: str,
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"

    assert main(["compare", "--data", str(scenes), "--out", str(out), *words]) == 1

    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_budget_below_one_step_is_wrong_usage(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--data", str(scenes), "--samples", "3"]) == 2

    assert "--samples 3 is less than one step of 16 images" in capsys.readouterr().err


def test_one_image_to_judge_by_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(tmp_path / "scenes", {"train": 2, "val": 1}, size=(48, 64), seed=3)

    code = main(typed(tmp_path / "scenes", tmp_path / "out", "segnet_basic", "--iterations", "1"))

    assert code == 1
    assert "holds 1 image, from which no interval and no difference" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_minutes_that_pay_for_no_step_are_refused_before_any_training(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(typed(scenes, out, SOUND, "--minutes", "0.0001", *RANDOM)) == 1

    told = capsys.readouterr().err
    assert "--minutes 0.0001 does not pay for one step of deeplab_v3_plus" in told
    assert re.search(r"give --minutes \d", told)
    assert not list(out.rglob("last.ckpt"))


@pytest.mark.slow
def test_a_dry_run_prints_the_plan_with_its_forecast_and_leaves_nothing(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = typed(scenes, out, SOUND, "--samples", "8", "--seeds", "3", "--dry-run", *RANDOM)

    assert main(words) == 0

    printed = capsys.readouterr().out
    assert re.search(r"deeplab_v3_plus +from scratch +[\d.]+ M +2 +8 +\d+:\d\d", printed)
    assert re.search(r"3 cells, about \d+:\d\d in all", printed)
    assert not out.exists()


@pytest.mark.slow
def test_a_comparison_from_the_command_to_the_report(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, weights = tmp_path / "out", tmp_path / "broken.safetensors"
    weights.write_bytes(b"no tensors")
    starts = f"mobilenet_v2={weights},mobilenet_v2_035=none"
    words = typed(scenes, out, f"segnet_basic,{SOUND},{BROKEN}", "--weights", starts)

    assert main([*words, "--iterations", "2"]) == 1  # one of the three cannot be trained

    printed = capsys.readouterr()
    assert re.search(r"network +mIoU +95 % interval +boundary F1 +ECE +ms/image +MB", printed.out)
    assert re.search(rf"{SOUND} +0\.\d{{3}} +0\.\d{{3}}-0\.\d{{3}} ", printed.out)
    assert f"{BROKEN}  failed: " in printed.out
    assert "broken.safetensors" in printed.out
    assert "Next: atrous predict " in printed.out
    left = {path.name for path in out.iterdir()}
    assert left >= {"compare.json", "results.json", "report.html", "segnet_basic"}
    run = out / "segnet_basic" / "seed-0" / "run"
    assert {"config.yaml", "last.ckpt", "metrics.jsonl", "model"} <= {p.name for p in run.iterdir()}

    content = json.loads((out / "results.json").read_text())
    assert {each["name"] for each in content["networks"]} == {"segnet_basic", SOUND}
    for each in content["networks"]:
        assert (each["steps"], each["images_seen"], each["start"]) == (2, 8, "random")
        assert each["ms_per_image"]["low"] <= each["ms_per_image"]["median"]
        assert 0 <= each["calibration_error"] <= 1
        assert each["memory_bytes"] > 0
        assert each["multiply_adds"] > 10**6
    assert content["protocol"]["split"] == "val"
    assert len(content["differences"]) == 1

    evaluated = ["evaluate", str(run / "model"), "--data", str(scenes), "--json", "--device", "cpu"]
    assert main(evaluated) == 0
    scored = json.loads(capsys.readouterr().out)["mean_iou"]
    (segnet,) = (each for each in content["networks"] if each["name"] == "segnet_basic")
    assert segnet["mean_iou"] == scored

    before = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    (out / "segnet_basic" / "seed-0" / "cell.json").unlink()  # killed before it was written
    assert main([*words, "--iterations", "2", "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    after = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    assert set(before) == set(after)
    assert [path.parts[-3] for path in before if before[path] != after[path]] == ["segnet_basic"]
    for old, new in zip(content["networks"], again["networks"], strict=True):
        assert old["mean_iou"] == new["mean_iou"]

    assert main([*words, "--iterations", "3"]) == 1
    told = capsys.readouterr().err
    assert "holds a comparison with other settings (budget 2 iterations there, 3 iterations" in told

    finished = typed(scenes, tmp_path / "of runs", f"{run},{out / 'none'}")
    assert main(finished) == 1
    assert "unknown network or folder" in capsys.readouterr().err
    other = out / SOUND.replace("/", "-") / "seed-0" / "run"
    assert main(typed(scenes, tmp_path / "of runs", f"{run},{other}", "--json")) == 0
    content = json.loads(capsys.readouterr().out)
    scores = {each["name"]: each["mean_iou"] for each in content["networks"]}
    assert scores[str(run)] == scored
    assert {each["start"] for each in content["networks"]} == {"finished"}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_comparison_that_is_stopped_goes_on_where_it_was(
    how: signal.Signals, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = typed(scenes, out, f"segnet_basic,{SOUND}", "--iterations", "200", *RANDOM)
    process = subprocess.Popen(
        [sys.executable, "-m", "atrous", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    checkpoint = out / "segnet_basic" / "seed-0" / "run" / "last.ckpt"
    until = time.monotonic() + 600
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(how)
    printed = process.communicate(timeout=300)
    assert checkpoint.exists()
    assert not list(out.rglob("cell.json"))
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted, nothing lost.   Go on: atrous compare --data" in printed[1]
    else:
        time.sleep(2)  # the child sees that its parent has gone

    assert main([*words, "--json"]) == 0

    content = json.loads(capsys.readouterr().out)
    assert [each["steps"] for each in content["networks"]] == [200, 200]
    lines = (checkpoint.parent / "metrics.jsonl").read_text().splitlines()
    steps = [each["step"] for each in map(json.loads, lines) if each["split"] == "train"]
    assert steps == list(range(1, 201))
