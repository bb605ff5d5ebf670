import math
from pathlib import Path

import pytest

from atrous.errors import InputError
from atrous.reports.run_record import read_run


def line(step: int, score: float, split: str = "val") -> str:
    return f'{{"step": {step}, "split": "{split}", "mean_iou": {score}, "loss": {score}}}\n'


def test_the_best_is_the_first_of_the_highest_validations(tmp_path: Path) -> None:
    text = line(10, 0.4) + line(20, 0.6) + line(30, 0.6) + line(40, 0.5)
    (tmp_path / "metrics.jsonl").write_text(text)

    run = read_run(tmp_path)

    assert run.best is not None
    assert run.best.step == 20
    assert run.last_step == 40


def test_a_last_line_cut_in_half_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line(10, 0.4) + line(20, 0.6)[:17])

    assert [entry.step for entry in read_run(tmp_path).validations] == [10]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line(10, 0.4) + "oops\n" + line(20, 0.6))

    with pytest.raises(InputError, match=r"metrics.jsonl, line 2 is no JSON object; remove it"):
        read_run(tmp_path)


def test_the_later_of_two_lines_of_a_step_counts(tmp_path: Path) -> None:
    text = line(20, 0.1) + line(10, 0.2) + line(20, 0.7)
    (tmp_path / "metrics.jsonl").write_text(text)

    validations = read_run(tmp_path).validations

    assert [(entry.step, entry.mean_iou) for entry in validations] == [(10, 0.2), (20, 0.7)]


def test_missing_figures_are_nan_and_missing_files_empty(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "split": "train", "loss": null}\n')

    run = read_run(tmp_path)

    assert math.isnan(run.train[0].loss)
    assert run.configuration == {}
    assert run.environment == {}
    assert run.best is None


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n"])
def test_a_configuration_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)

    with pytest.raises(InputError, match=r"config\.yaml"):
        read_run(tmp_path)


def test_a_configuration_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")

    with pytest.raises(InputError, match="cannot be read as YAML"):
        read_run(tmp_path)
