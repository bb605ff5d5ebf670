"""A process that is killed or interrupted, and gone on with, ends as the one that was left alone.

Mid-epoch (ten images, four a step), with two loader processes, each step in two micro-batches.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.training import TrainConfig, fit

SameRun = Callable[[Path, Path], None]

PROGRAM = """
import json, sys, time
from pathlib import Path
from atrous import files
from atrous.training import Silent, TrainConfig, checkpoints, fit

fields = json.loads(sys.argv[1])
for name in ("data", "out", "resume"):
    fields[name] = Path(fields[name]) if fields.get(name) else None

def write_slowly(path, content):
    with files.atomic_write(path) as file:
        half = len(content) // 2
        file.write(content[:half])
        file.flush()
        print("write begins", flush=True)
        time.sleep(float(sys.argv[2]))
        file.write(content[half:])

checkpoints.write_bytes = write_slowly
checkpoints.COST_SHARE = 1e9  # a checkpoint after every step

class Loud(Silent):
    def step(self, step, *, loss, images_per_second):
        print("step", step, flush=True)

result = fit(TrainConfig(**fields), reporter=Loud())
print("ended", result.step, result.evaluation is not None, flush=True)
"""


def start(fields: dict[str, Any], write_seconds: float = 0.0) -> subprocess.Popen[str]:
    text = json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in fields.items()})
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, text, str(write_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "GOMP_SPINCOUNT": "0"},
    )


def wait_for(process: subprocess.Popen[str], beginning: str, times: int = 1) -> None:
    """Return as soon as the process has printed so many lines that begin so."""
    assert process.stdout is not None
    seen = []
    for printed in process.stdout:
        seen.append(printed)
        times -= printed.startswith(beginning)
        if not times:
            return
    raise AssertionError(f"{beginning!r} never came: {''.join(seen)}")


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the process and its loader workers, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()  # also closes the pipe


def ended(process: subprocess.Popen[str], told: str) -> None:
    output = process.communicate(timeout=240)[0]
    assert told in output, output


def step_of(folder: Path) -> int:
    return int(torch.load(folder / "last.ckpt", weights_only=True)["global_step"])


EVERYTHING = {
    "optimizer": "adamw",
    "ema": 0.9,
    "clip": 1.0,
    "freeze_encoder": 4,
    "warmup": 3,
    "schedule": "plateau",
    "schedule_options": {"patience": 1, "factor": 0.5},
    "lr_factors": {"encoder": 0.1, "classifier": 10.0, "biases": 2.0},
    "norm": "fixed_encoder",
    "supervision": "scores",
    "patience": 9,
    "blur": 0.5,
}


OPPOSED = {
    "adversary": "small_fov_light",
    "adversary_options": {"pretrain_segmentor": 1, "pretrain_adversary": 2, "period": 2},
    "ema": 0.9,
    "clip": 1.0,
}

CHOICES = [{}, EVERYTHING, OPPOSED]


@pytest.fixture(scope="module", params=CHOICES, ids=["plain", "everything", "adversarial"])
def fields(scenes: Path, tiny: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    run = {"data": scenes, "iterations": 12, "val_every": 5, "workers": 2}
    return {**tiny, **run, **request.param}


@pytest.fixture(scope="module")
def alone(fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    ended(start({**fields, "out": folder}), "ended 12 True")
    return folder


@pytest.mark.slow
def test_killed_inside_a_checkpoints_write_the_run_ends_bit_equal(
    alone: Path, tmp_path: Path, fields: dict[str, Any], assert_same_run: SameRun
) -> None:
    killed = tmp_path / "killed"
    process = start({**fields, "out": killed}, write_seconds=2.0)
    done = 0
    for writes in (1, 3, 4):  # the first of all, one mid-epoch, one after a validation
        wait_for(process, "write begins", writes)
        kill(process)
        assert len(list(killed.glob(".last.ckpt.*.part"))) == 1
        done += writes - 1
        if done:
            assert step_of(killed) == done  # what the killed write would have replaced
        else:
            assert not (killed / "last.ckpt").exists()
        process = start({"resume": killed}, write_seconds=0.5)
    ended(process, "ended 12 True")
    assert not list(killed.glob(".*.part"))
    assert_same_run(alone, killed)


@pytest.mark.slow
def test_killed_at_random_moments_the_run_ends_bit_equal(
    alone: Path, tmp_path: Path, fields: dict[str, Any], assert_same_run: SameRun
) -> None:
    killed = tmp_path / "killed"
    process = start({**fields, "out": killed}, write_seconds=0.05)
    generator = random.Random(0)
    steps = [0]
    for _ in range(3):
        wait_for(process, "step", 2)  # the first of them has been written
        time.sleep(generator.uniform(0.0, 0.2))
        kill(process)
        steps.append(step_of(killed))
        process = start({"resume": killed}, write_seconds=0.05)
    assert sorted(set(steps)) == steps
    assert steps[-1] < 12
    ended(process, "ended 12 True")
    assert_same_run(alone, killed)


@pytest.mark.slow
def test_ctrl_c_finishes_the_step_and_the_run_goes_on_bit_equal(
    alone: Path, tmp_path: Path, fields: dict[str, Any], assert_same_run: SameRun
) -> None:
    stopped = tmp_path / "stopped"
    process = start({**fields, "out": stopped})
    wait_for(process, "step 3")
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    ended(process, "False")
    assert process.returncode == 0
    assert 3 <= step_of(stopped) < 12
    fit(TrainConfig(resume=stopped))
    assert_same_run(alone, stopped)
