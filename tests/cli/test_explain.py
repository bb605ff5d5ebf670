import json
from pathlib import Path

import pytest
from PIL import Image

from atrous.cli.main import main

SMALL = ("--encoder", "mobilenet_v2_035", "--size", "64")


def test_the_table_ends_in_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "deeplab_v3_plus", *SMALL, "--depth", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["layer", "output", "stride"]
    assert [line.split()[0] for line in lines[1:4]] == ["encoder", "reduce", "aspp"]
    assert "GFLOPs for 64x64" in lines[-2]
    assert "the whole image" in lines[-1]


def test_json_holds_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "deeplab_v3_plus", *SMALL, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    layers = content["layers"]
    assert sum(layer["parameters"] for layer in layers) == content["total"]["parameters"]
    assert layers[0]["kind"] == "conv 3x3 /2"


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "new" / "seen.png"
    assert main(["explain", "deeplab_v3_plus", *SMALL, "--picture", str(picture)]) == 0
    with Image.open(picture) as image:
        assert min(image.size) > 300


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["deeplab_v3_pluss"], "did you mean deeplab_v3_plus"),
        (["unet", "--size", "8"], "--size is 8, but must be at least 33 pixels"),
        (["unet", "--depth", "0"], "--depth is 0, but must be at least 1"),
        (["unet", "--image", "a.jpg"], "give --picture FILE.png as well"),
    ],
)
def test_mistakes_get_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *words]) in (1, 2)
    assert line in capsys.readouterr().err
