import json
from pathlib import Path

import numpy as np
import pytest

from atrous.cli.console import answer, json_mode, number, parameters, print_json, say, size, table


def test_answers_are_text_or_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    answer("mIoU 0.5", {"mean_iou": 0.5})
    assert capsys.readouterr().out == "mIoU 0.5\n"

    with json_mode(True):
        say("a line for people")
        answer("mIoU 0.5", {"mean_iou": 0.5})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"mean_iou": 0.5}
    assert err == "a line for people\n"


def test_json_takes_paths_arrays_and_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("a"), "iou": np.array([0.5, np.nan]), "count": np.int64(3), 1: (2,)})

    assert json.loads(capsys.readouterr().out) == {
        "path": "a",
        "iou": [0.5, None],
        "count": 3,
        "1": [2],
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(999), "999"),
        (number(1234567), "1 234 567"),
        (parameters(364_000), "0.4 M"),
        (parameters(41_200_000), "41.2 M"),
        (parameters(9_000), "0.01 M"),
        (size(6_100_000), "6 MB"),
        (size(96_000_000_000), "96.0 GB"),
        (size(999_000), "1 MB"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected


def test_a_table_aligns_text_left_and_numbers_right() -> None:
    text = table([("name", "MB"), ("unet", "98"), ("fcn8s", "513")], right=(1,))

    assert text == " name    MB\n unet    98\n fcn8s  513"
