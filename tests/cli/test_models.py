import json

import pytest
import torch

from atrous.cli.console import json_mode
from atrous.cli.model_rows import ENCODER_PAPERS, SHOWN, Row
from atrous.cli.models import ModelsConfig, run
from atrous.encoders import ENCODERS
from atrous.errors import InputError
from atrous.models import MODELS

# Parameters without classifier, from the papers' layer tables; stride of the coarsest map.
PUBLISHED = {
    "mobilenet_v2": (1_811_712, 32),
    "resnet50": (23_508_032, 32),
    "resnet101": (42_500_160, 32),
    "vgg16": (14_714_688, 32),
    "vgg19": (20_024_384, 32),
}


def answer(capsys, text=""):
    with json_mode(True):
        assert run(ModelsConfig(text=text)) == 0
    return json.loads(capsys.readouterr().out)


def test_every_network_and_encoder_stands_in_the_answer(capsys):
    content = answer(capsys)
    assert [row["name"] for row in content["networks"]] == sorted(MODELS)
    assert [row["name"] for row in content["encoders"]] == list(ENCODERS)
    assert all(row["output_stride"] in (8, 16, 32) for row in content["networks"])


def test_encoders_have_the_published_number_of_parameters(capsys):
    rows = {row["name"]: row for row in answer(capsys)["encoders"]}
    for name, facts in PUBLISHED.items():
        assert (rows[name]["parameters"], rows[name]["output_stride"]) == facts


def test_every_encoder_and_network_names_its_paper():
    assert set(ENCODER_PAPERS) == set(ENCODERS)
    assert all(entry.paper for entry in MODELS.values())


def test_nothing_is_allocated_or_drawn(capsys, monkeypatch):
    state = torch.get_rng_state()
    answer(capsys)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_selects_and_searches_timm(capsys):
    content = answer(capsys, "mobilenetv3_small")
    assert content["networks"] == []
    assert {row["name"] for row in content["encoders"]} >= {"mobilenetv3_small_050"}


def test_people_get_a_table_and_the_next_step(capsys):
    run(ModelsConfig())
    shown = capsys.readouterr().out
    assert "31.0 M" in shown  # U-Net's 31 million (Ronneberger et al.)
    assert "Ronneberger" in shown
    assert "atrous train --data FOLDER --model NAME --encoder NAME" in shown


def test_many_matches_are_cut_and_counted(capsys, monkeypatch):
    names = [f"vgg_{index}" for index in range(SHOWN + 5)]
    monkeypatch.setattr("atrous.encoders.timm_pyramid.timm_names", lambda: names)
    monkeypatch.setattr("atrous.cli.model_rows._encoder", lambda name: Row(name, 1, 32, None, None))
    run(ModelsConfig(text="vgg_"))
    shown = capsys.readouterr().out
    assert shown.count("vgg_") == SHOWN + 1
    assert "and 5 more of timm's that contain 'vgg_'" in shown


def test_a_name_that_nothing_has_gets_the_closest(capsys):
    with pytest.raises(InputError, match="unknown model or encoder 'unett'; did you mean unet"):
        run(ModelsConfig(text="unett"))
