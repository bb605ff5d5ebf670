"""`atrous bench data` times every stage and says which one bounds."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from atrous.cli.bench_lines import slowest_stage, waiting
from atrous.cli.main import main
from atrous.data import write_scenes
from atrous.training.data_rates import Rate, bottleneck


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six made scenes for training, two for validation."""
    folder = tmp_path_factory.mktemp("bench") / "scenes"
    write_scenes(folder, {"train": 6, "val": 2}, size=(48, 64), seed=3)
    return folder


QUICK = ("--seconds", "0.1", "--batch-size", "4", "--crop", "32")


@pytest.mark.parametrize("cache", ["none", "memory", "disk", "device"])
def test_every_stage_has_its_rate(
    cache: str, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "data", "--data", str(scenes), "--cache", cache, "--workers", "1", *QUICK]
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    cached = ["cache read"] if cache in ("memory", "disk") else []
    stages = ["decode", *cached, "warp", "colour jitter", "collate", "normalise"]
    if cache == "device":
        stages = ["decode", "draw", "warp and jitter", "normalise"]
    assert [stage["stage"] for stage in result["stages"]] == stages
    assert all(stage["per_core"] > 0 and stage["together"] > 0 for stage in result["stages"])
    assert result["loader"] > 0
    assert (result["first_pass"] is None) == (cache == "none")
    assert (result["first_pass_bottleneck"] is None) == (cache == "none")
    loading = {stage["stage"] for stage in result["stages"] if stage["is_loading"]}
    assert result["bottleneck"]["stage"] in loading
    assert (result["cache"], result["images"]) == (cache, 6)
    assert result["training"] is None
    decode = result["stages"][0]
    assert decode["is_loading"] == (cache == "none")


def test_the_table_ends_in_who_waits_for_whom(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ("--model", "deeplab_v3_plus", "--encoder", "mobilenet_v2_035", "--device", "cpu")
    assert main(["bench", "data", "--data", str(scenes), *network, *QUICK, "--workers", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith(" ")]
    assert table[0].split() == ["stage", "img/s", "on", "one", "core", "img/s", "together"]
    assert table[-2].split()[:4] == ["whole", "loader,", "first", "pass"]
    assert table[-1].split()[:4] == ["whole", "loader,", "later", "passes"]
    assert lines[-2].startswith("The slowest stage is ")
    assert "in the first pass, which fills the cache, " in lines[-2]
    assert lines[-1].startswith("deeplab_v3_plus trains ")


def rate(stage: str, per_core: float, is_loading: bool = True) -> Rate:
    return Rate(stage, per_core, per_core, is_loading)


@pytest.mark.parametrize(
    ("cache_read", "said"),
    [
        (
            None,  # 0.04 of 0.05 seconds
            "The slowest stage is decode: 80 % of a sample's time; --cache memory or disk decodes "
            "each image once.",
        ),
        (
            300.0,  # 1 / 100 of 1 / 100 + 1 / 300 seconds
            "The slowest stage is warp: 75 % of a sample's time; in the first pass, which fills "
            "the cache, decode: 80 %.",
        ),
    ],
)
def test_the_slowest_stage_is_named_with_its_share(cache_read: float | None, said: str) -> None:
    stages = [rate("decode", 25.0), rate("warp", 100.0), rate("normalise", 1.0, is_loading=False)]
    first = None
    if cache_read is not None:
        stages[0] = replace(stages[0], is_loading=False)
        stages.append(rate("cache read", cache_read))
        first = asdict(bottleneck(stages, first_pass=True))
    result = {"bottleneck": asdict(bottleneck(stages)), "first_pass_bottleneck": first}
    assert slowest_stage(result) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loader": 5.0}, ": it would wait for the loader, which bounds it; raise --workers."),
        (
            {"loader": 5.0, "workers": 4},
            ": it would wait for the loader, which bounds it; lower --crop.",
        ),
        ({"device": "cuda"}, "; the loader gives 6.0 times that: it never waits."),
        (
            {},  # 0.025 core seconds a sample beside 4 / 10 of training
            "; the loader gives 6.0 times that: it never waits, but on the same cores making "
            "samples takes 6 % of the work.",
        ),
        (
            {"device": "cuda", "first_pass": 4.0},
            "; the loader gives 6.0 times that: it never waits after the first pass, which gives "
            "4.0 img/s.",
        ),
        (
            {"device": "cuda", "first_pass": 40.0},
            "; the loader gives 6.0 times that: it never waits.",
        ),
    ],
)
def test_it_says_whether_a_step_would_wait(changes: dict[str, Any], said: str) -> None:
    result = {"model": "unet", "training": 10.0, "loader": 60.0, "workers": 2, "cores": 4}
    result |= {"device": "cpu", "stages": [asdict(rate("warp", 40.0))], "first_pass": None}
    result |= changes
    assert waiting(result) == f"unet trains 10.0 img/s on {result['device']}{said}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data"], "bench needs --data PATH"),
        (["speed", "--data", "x"], "speed"),
        (["data", "--data", "x", "--seconds", "0"], "--seconds is 0, but must lie in 0.1..600"),
        (["data", "--data", "x", "--encoder", "resnet18"], "--encoder resnet18 needs a network"),
        (["data", "--data", "x", "--workers", "-1"], "--workers is -1, but must be 0 or more"),
        (["data", "--data", "x", "--cache", "ram"], "ram"),
        (["data", "--data", "nowhere/at/all"], "nowhere/at/all does not exist"),
    ],
)
def test_wrong_words_are_told_in_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) in (1, 2)
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.err.strip().count("\n") == 0
