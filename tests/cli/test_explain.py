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


def test_the_summary_tells_fields_before_and_after_upsampling(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = ("--options", "fc_channels=2", "--size", "64")
    assert main(["explain", "fcn32s", "--encoder", "alexnet", *tiny]) == 0
    shown = capsys.readouterr()
    assert "355 px before upsampling, 386 px after it" in shown.out
    assert "step 3/3" in shown.err  # progress goes to stderr


def test_deeplab_v1_has_the_field_of_view_of_its_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = ("--options", "fc_channels=2", "--size", "64")
    assert main(["explain", "deeplab_v1", *tiny]) == 0
    assert "fc6 spans 224 px, as DeepLab v1 counts" in capsys.readouterr().out
    assert main(["explain", "deeplab_v1", *tiny, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["field_of_view"] == {"encoder.classifier.0": 224}
    assert content["receptive_field"]["before_upsampling"] == 435
    assert content["trained"] is False


def test_what_only_training_decides_is_not_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "network=unet,base_channels=2,padding=same,attention_channels=2"
    picture = ("--size", "64", "--picture", str(tmp_path / "seen.png"))
    assert main(["explain", "attention_to_scale", "--options", options, *picture]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith(" Untrained, 95 % of what moves a score lies within")
    assert "Attention is left out" in lines[-1]
    assert main(["explain", "street-scenes", *picture]) == 0
    assert "ntrained" not in capsys.readouterr().out


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
