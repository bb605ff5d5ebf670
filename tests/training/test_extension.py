"""`--extend`: a command that is given again goes on; once it has ended, it adds again."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atrous.data import open_data
from atrous.errors import InputError
from atrous.training import RunResult, Silent, TrainConfig, fit
from atrous.training import run as run_module
from atrous.training.phases import begin_phases
from atrous.training.recipes import runs_of
from atrous.training.run_folder import read_config, resumed, write_config

SameRun = Callable[[Path, Path], None]


class Listening(Silent):
    """Remembers what is told; presses Ctrl-C after `stop` steps."""

    def __init__(self, stop: int | None = None) -> None:
        self.notes: list[str] = []
        self.stop = stop

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        if step == self.stop:
            signal.raise_signal(signal.SIGINT)


def killed_in(function: str, config: TrainConfig) -> None:
    """Train, and die where the run calls that function."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, function, killed)
        with pytest.raises(KeyboardInterrupt):
            fit(config)


@pytest.fixture(scope="module")
def finished(scenes: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    fit(TrainConfig(**{**tiny, "data": scenes, "out": folder, "iterations": 2}))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to go on with."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_command_that_was_stopped_goes_on_and_adds_nothing_again(
    run: Path, finished: Path, tmp_path: Path, assert_same_run: SameRun
) -> None:
    alone = Path(shutil.copytree(finished, tmp_path / "alone"))
    fit(TrainConfig(resume=alone, extend=3))

    assert fit(TrainConfig(resume=run, extend=3), reporter=Listening(stop=3)).step == 3
    again = Listening()
    assert fit(TrainConfig(resume=run, extend=3), reporter=again).step == 5

    told = "5 iterations: this extension by 3 has begun, so it goes on and nothing is added"
    assert [told in note for note in again.notes] == [True]
    assert_same_run(run, alone)


def test_a_finished_extension_can_be_followed_by_another(run: Path) -> None:
    assert fit(TrainConfig(resume=run, extend=1)).step == 3
    assert fit(TrainConfig(resume=run, extend=1)).step == 4


def test_a_kill_before_the_first_step_of_an_extension_adds_nothing_again(run: Path) -> None:
    killed_in("train", TrainConfig(resume=run, extend=3))
    assert read_config(run).iterations == 5
    assert resumed(TrainConfig(resume=run, extend=3)).iterations == 5


def test_a_kill_between_the_record_and_the_configuration_adds_once(run: Path) -> None:
    killed_in("write_config", TrainConfig(resume=run, extend=3))
    assert (run / "extension.json").is_file()
    assert resumed(TrainConfig(resume=run, extend=3)).iterations == 5


def test_another_number_is_another_extension(run: Path) -> None:
    fit(TrainConfig(resume=run, extend=3), reporter=Listening(stop=3))
    assert resumed(TrainConfig(resume=run, extend=4)).iterations == 9
    assert resumed(TrainConfig(resume=run, iterations=8)).iterations == 8


def test_an_extension_without_its_report_is_not_finished(run: Path) -> None:
    report = run / "report.html"
    report.touch()
    os.utime(report, (1, 1))  # that of the run before
    fit(TrainConfig(resume=run, extend=1))  # killed before it wrote its own
    assert fit(TrainConfig(resume=run, extend=1)).step == 3
    report.touch()
    assert fit(TrainConfig(resume=run, extend=1)).step == 4


def test_a_run_that_stopped_early_is_extended_once_by_a_command_given_twice(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    fields = {"iterations": 40, "val_every": 1, "patience": 2, "lr": 1e-12, "norm": "frozen"}
    assert fit(TrainConfig(**{**tiny, "data": scenes, "out": folder, **fields})).step == 3

    killed_in("train", TrainConfig(resume=folder, extend=5))
    assert fit(TrainConfig(resume=folder)).step == 5  # two more validations without gain
    assert read_config(folder).iterations == 45
    assert resumed(TrainConfig(resume=folder, extend=5)).iterations == 50


@pytest.mark.parametrize(
    ("norm", "told"),
    [
        ("frozen", "the same to rounding, but for the masks of dropout"),
        ("train", "batch norm sees 1 images at a time from now on"),
    ],
)
def test_a_run_goes_on_with_fewer_images_at_once_and_says_what_that_does(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any], norm: str, told: str
) -> None:
    run, reporter = tmp_path / "run", Listening()
    fields = {**tiny, "data": scenes, "out": run, "norm": norm, "iterations": 2, "val_every": 9}
    fit(TrainConfig(**fields), reporter=Listening(stop=1))
    assert fit(TrainConfig(resume=run, micro_batch=1), reporter=reporter).step == 2
    notes = [note for note in reporter.notes if note.startswith("Batch")]
    assert notes == [f"Batch    1 images at once instead of 2: {told}"]
    assert read_config(run).micro_batch == 1


def test_a_damaged_record_is_none(run: Path) -> None:
    fit(TrainConfig(resume=run, extend=3), reporter=Listening(stop=3))
    (run / "extension.json").write_text("[3")
    assert resumed(TrainConfig(resume=run, extend=3)).iterations == 8


def test_a_phase_whose_length_is_not_known_cannot_be_extended(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, epochs=100))
    with pytest.raises(InputError, match=r"--extend 5 needs a run whose length is known"):
        resumed(TrainConfig(resume=tmp_path, extend=5))


def test_what_is_given_before_the_last_phase_begins_is_kept_for_it(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trained = tmp_path / "run", list[TrainConfig]()
    phases = runs_of(TrainConfig(data=scenes, recipe="deeplab_v3", encoder="resnet18")).phases
    begin_phases(run, phases)

    def stopped(config: TrainConfig, *_: object, **__: object) -> RunResult:
        trained.append(config)
        return RunResult(tmp_path, tmp_path, 1, None, open_data(scenes), None)

    monkeypatch.setattr(run_module, "_fit_one", stopped)

    def go_on(**given: Any) -> tuple[int | None, int | None, list[str]]:
        reporter = Listening()
        fit(TrainConfig(resume=run, given=frozenset(given), **given), reporter=reporter)
        lengths = [read_config(place).iterations for place in (run / "phase-1", run)]
        return lengths[0], lengths[1], [note for note in reporter.notes if "Length" in note]

    told = "Length   {} iterations of the last phase, deeplab_v3; those before it keep theirs"
    assert go_on(extend=5) == (30_000, 30_005, [told.format(30_005)])
    assert go_on(extend=5) == (30_000, 30_005, [told.format(30_005)])  # once
    assert go_on(iterations=7, workers=0, out=run) == (30_000, 7, [told.format(7)])
    assert go_on() == (30_000, 7, [])
    assert [config.resume for config in trained] == [run / "phase-1"] * 4
    assert (trained[-1].workers, read_config(run).workers) == (0, 0)

    monkeypatch.setattr(run_module, "is_done", lambda _: True)
    go_on()
    assert (trained[-1].resume, trained[-1].iterations, trained[-1].workers) == (run, 7, 0)


def test_iterations_replace_the_passes_of_a_phase_that_has_not_begun(tmp_path: Path) -> None:
    write_config(tmp_path, TrainConfig(data=tmp_path, out=tmp_path, epochs=100))
    config = resumed(TrainConfig(resume=tmp_path, iterations=7))
    assert (config.iterations, config.epochs) == (7, None)
