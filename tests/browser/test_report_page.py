"""The report in a real browser: fits every width, loads every picture, follows the dark theme."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.data import open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.inference import Predictor
from atrous.models import build_model
from atrous.reports import write_training_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an untrained network on made scenes: every part of the real thing."""
    folder = tmp_path_factory.mktemp("run")
    write_scenes(folder / "scenes", {"train": 4, "val": 4}, size=(96, 128), seed=0)
    spec = open_data(folder / "scenes")
    model = build_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=len(spec.label_set)
    )
    model.label_set = spec.label_set
    predictor = Predictor(model, device="cpu")
    (folder / "metrics.jsonl").write_text(
        "".join(
            json.dumps({"step": step, "split": "val", "mean_iou": step / 100, "iou": []}) + "\n"
            for step in (10, 20, 30)
        )
    )
    evaluation = evaluate(predictor, spec)
    return write_training_report(folder, evaluation=evaluation, spec=spec, predictor=predictor)


def test_the_page_fits_every_width_and_shows_every_picture(
    report: Path, measured: Callable[[Path], dict[str, dict[str, Any]]]
) -> None:
    for width, found in measured(report).items():
        assert found["beyond"] == [], width
        assert found["overflow"] == 0, width
        assert found["images"] == 16, width
        assert found["broken"] == 0, width
        assert found["requests"] == 0, width


def screenshot(chromium: Callable[..., str], report: Path, path: Path, *flags: str) -> np.ndarray:
    chromium(report, "--window-size=900,700", f"--screenshot={path}", *flags)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def test_the_page_follows_the_theme_of_the_reader(
    report: Path, chromium: Callable[..., str], tmp_path: Path
) -> None:
    light = screenshot(chromium, report, tmp_path / "light.png")
    dark = screenshot(
        chromium, report, tmp_path / "dark.png", "--blink-settings=preferredColorScheme=0"
    )

    for picture in (light, dark):
        assert np.ptp(picture) > 180  # text stands out from the paper
    assert np.median(light) > 240
    assert np.median(dark) < 40


def test_the_page_prints_on_a_few_sheets(
    report: Path, chromium: Callable[..., str], tmp_path: Path
) -> None:
    chromium(report, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")

    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 10
