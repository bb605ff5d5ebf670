"""One process, accumulation, several processes: the same training, to float tolerance."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.errors import InputError
from atrous.training import TrainConfig, fit
from atrous.training.plan import Plan
from atrous.training.planning import plan_run
from atrous.training.ranks import Ranks, joined

COMMON = [
    "--encoder", "mobilenet_v2_035", "--weights", "none", "--batch-size", "8", "--crop", "48",
    "--options", "aspp_channels=16,decoder_channels=16,skip_channels=8,dropout=0.0",
    "--norm", "frozen", "--lr", "0.05", "--iterations", "6", "--val-every", "3",
    "--clip", "0.05", "--precision", "fp32", "--device", "cpu", "--workers", "0",
    "--class-weights", "median_frequency",
]  # fmt: skip


def train(folder: Path, data: Path, *words: str, processes: int = 1) -> str:
    """Run the command alone or under torchrun; return what it printed."""
    command = ["-m", "atrous", "train", "--data", str(data), "--out", str(folder), *COMMON, *words]
    if processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [*launch, *command]
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def losses(folder: Path) -> list[float]:
    return told(folder, "loss")


def told(folder: Path, name: str) -> list[float]:
    """Return a figure of every step that has it."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line["split"] == "train" and name in line]


def weights(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "last.ckpt", weights_only=True)["state_dict"])


@pytest.mark.slow
def test_a_batch_of_eight_is_the_same_cut_in_two_and_shared_by_two_processes(
    scenes: Path, tmp_path: Path
) -> None:
    whole, cut, shared = tmp_path / "whole", tmp_path / "cut", tmp_path / "shared"
    train(whole, scenes, "--micro-batch", "8")
    train(cut, scenes, "--micro-batch", "4")
    printed = train(shared, scenes, "--micro-batch", "2", processes=2)
    assert "batch 8 = 2 processes x 2 x 2 accumulated" in printed
    assert printed.count("Model ") == 1  # one of them speaks
    assert len(losses(whole)) == 6
    assert losses(whole)[-1] < losses(whole)[0]
    for other in (cut, shared):
        assert losses(other) == pytest.approx(losses(whole), rel=1e-4)
        for name, value in weights(whole).items():
            torch.testing.assert_close(weights(other)[name], value, rtol=1e-3, atol=1e-4)
    again = fit(TrainConfig(resume=shared, extend=1))  # what two began one goes on with
    assert again.step == 7
    assert len(losses(shared)) == 7


@pytest.mark.slow
def test_an_adversary_learns_the_same_from_a_batch_cut_in_two_and_shared_by_two_processes(
    scenes: Path, tmp_path: Path
) -> None:
    turns = "encoding=product,pretrain_segmentor=1,pretrain_adversary=2,period=1,lr=0.001"
    words = ["--adversary", "small_fov_light", "--adversary-options", turns]
    whole, cut, shared = tmp_path / "whole", tmp_path / "cut", tmp_path / "shared"
    train(whole, scenes, *words, "--micro-batch", "8")
    train(cut, scenes, *words, "--micro-batch", "3")
    train(shared, scenes, *words, "--micro-batch", "2", processes=2)
    for other in (cut, shared):
        for name in ("loss", "segmentation_loss", "adversary_loss", "adversary_accuracy"):
            assert told(other, name) == pytest.approx(told(whole, name), rel=1e-4)
        for name, value in weights(whole).items():
            torch.testing.assert_close(weights(other)[name], value, rtol=1e-3, atol=1e-4)


def test_more_processes_than_images_in_a_batch_are_refused() -> None:
    config = TrainConfig(data=Path("data"), batch_size=1)
    with pytest.raises(InputError, match="each of 2 processes needs an image of it; start 1"):
        plan_run(config, None, None, device="cpu", lr=0.1, reporter=None, ranks=Ranks(0, 2))  # type: ignore[arg-type]


def test_alone_there_is_no_group_and_everything_is_given_back() -> None:
    with joined("cpu") as ranks:
        assert ranks == Ranks()
        assert not torch.distributed.is_initialized()
        x = torch.ones(3)
        assert ranks.total(x) is x
        assert (ranks.any(True), ranks.all(4), ranks.of_first("a")) == (True, [4], "a")


def test_a_plan_says_how_the_batch_is_shared() -> None:
    from atrous.cli.terminal import _cut

    fields = {
        "iterations": 1, "done": 0, "crop": (8, 8), "val_every": 1, "precision": "fp32",
        "device": "cpu", "workers": 0, "optimizer": "sgd", "lr": 0.1, "seconds": 1.0,
        "memory_bytes": 1,
    }  # fmt: skip
    cuts = [
        _cut(Plan(**fields, batch_size=16, micro_batch=micro, processes=processes))
        for micro, processes in ((16, 1), (4, 1), (8, 2), (4, 2))
    ]
    assert cuts == [
        "", " = 4 x 4 accumulated", " = 2 processes x 8", " = 2 processes x 2 x 4 accumulated",
    ]  # fmt: skip
