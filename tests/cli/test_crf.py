import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.main import main


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = np.full((40, 60, 3), 30, np.uint8)
    picture[:, 33:] = 200
    Image.fromarray(picture).save("photo.png")
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    Image.fromarray(mask).save("mask.png")


def test_a_mask_moves_to_the_border_in_the_image(pair, capsys):
    assert main(["crf", "photo.png", "mask.png"]) == 0

    assert capsys.readouterr().out == (
        "Mask: mask-crf.png   (2 classes, 5.0 % of the pixels changed)\n"
    )
    with Image.open("mask-crf.png") as mask:
        found = np.asarray(mask)
    assert (found[:, :33] == 0).all()
    assert (found[:, 33:] == 255).all()


def test_json_says_what_was_done(pair, capsys):
    assert main(["crf", "photo.png", "mask.png", "--out", "new.png", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == [0, 255]
    assert told["crf"]["appearance"]["xy_std"] == 80
    assert Path(told["mask"]).exists()


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["lost.png", "mask.png"], "no file lost.png", 1),
        (["photo.png"], "crf needs MASK", 2),
        (["photo.png", "mask.png", "--crf", "deeplap"], "did you mean deeplab", 2),
    ],
)
def test_mistakes_get_one_line(pair, capsys, words, told, code):
    assert main(["crf", *words]) == code

    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error
