"""The reports in a real browser: fit every width, load every picture, follow the dark theme."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from atrous.cli.main import main
from atrous.compare.apart import WorkFailed
from atrous.compare.weighing import weigh
from atrous.data import DataSpec, open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.inference import Predictor
from atrous.models import SegmentationModel, build_model
from atrous.reports import write_training_report
from atrous.weights import save

pytestmark = pytest.mark.slow

NETWORKS = 9
"""Of the comparison; the last of them fails."""


class Built(NamedTuple):
    """A page, how many pictures it shows, and how many sheets it takes at most."""

    path: Path
    pictures: int
    sheets: int


@pytest.fixture(scope="module", params=["training", "evaluation", "comparison"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Each report, of untrained networks on made scenes: every part of the real thing."""
    folder = tmp_path_factory.mktemp("run")
    write_scenes(folder / "scenes", {"train": 4, "val": 4}, size=(96, 128), seed=0)
    make = {"training": training, "evaluation": evaluation, "comparison": comparison}
    return make[request.param](folder, open_data(folder / "scenes"))


def training(folder: Path, spec: DataSpec) -> Built:
    predictor = Predictor(network(spec), device="cpu")
    write_journal(folder)
    path = write_training_report(
        folder, evaluation=evaluate(predictor, spec), spec=spec, predictor=predictor
    )
    return Built(path, 16, 10)


def evaluation(folder: Path, spec: DataSpec) -> Built:
    model = save(network(spec), folder / "model", provenance={"data": spec.fingerprint})
    words = ["evaluate", str(model), "--data", str(spec.root), "--device", "cpu"]
    assert main([*words, "--report", str(folder / "report")]) == 0
    path = folder / "report" / "report.html"
    return Built(path, path.read_text().count("<img "), 12)


def comparison(folder: Path, spec: DataSpec) -> Built:
    """Compare finished runs with long names, one of which fails with a long reason."""
    runs = [folder / f"a-network-with-a-rather-long-name-{i}" for i in range(NETWORKS)]
    for width, run in enumerate(runs, start=1):
        model = network(spec, "unet", options={"base_channels": width})
        save(model, run / "model", provenance={"data": spec.fingerprint})
        write_journal(run)

    def here(work: Callable[..., Any], *arguments: object, log: Path, tell: object) -> object:
        if work is weigh and arguments[1] == runs[-1] / "model":
            raise WorkFailed(f"its process ended; what it printed last is in {log}{'/long' * 40}")
        return work(*arguments, tell)

    words = ["compare", "--data", str(spec.root), "--models", ",".join(map(str, runs))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.compare.planning.apart", here)
        patch.setattr("atrous.compare.comparison.apart", here)
        patch.setattr("atrous.compare.together.MOST_ROUNDS", 1)
        assert main([*words, "--device", "cpu", "--out", str(folder / "out")]) == 1
    shown = len(spec.splits["val"])
    return Built(folder / "out" / "report.html", shown * (2 + 2 * (NETWORKS - 1)), 14)


def network(spec: DataSpec, name: str = "deeplab_v3_plus", **options: Any) -> SegmentationModel:
    encoder = "mobilenet_v2_035" if name == "deeplab_v3_plus" else None
    model = build_model(name, encoder_name=encoder, classes=len(spec.label_set), **options)
    model.label_set = spec.label_set
    return model


def write_journal(run: Path) -> None:
    lines = [
        {"step": step, "split": "val", "mean_iou": step / 100, "iou": []} for step in (10, 20, 30)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text)


def test_the_page_fits_every_width_and_shows_every_picture(
    report: Built, measured: Callable[[Path], dict[str, dict[str, Any]]]
) -> None:
    for width, found in measured(report.path).items():
        assert found["beyond"] == [], width
        assert found["overflow"] == 0, width
        assert found["images"] == report.pictures > 0, width
        assert found["broken"] == 0, width
        assert found["requests"] == 0, width


def screenshot(chromium: Callable[..., str], report: Path, path: Path, *flags: str) -> np.ndarray:
    chromium(report, "--window-size=900,700", f"--screenshot={path}", *flags)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def test_the_page_follows_the_theme_of_the_reader(
    report: Built, chromium: Callable[..., str], tmp_path: Path
) -> None:
    light = screenshot(chromium, report.path, tmp_path / "light.png")
    dark = screenshot(
        chromium, report.path, tmp_path / "dark.png", "--blink-settings=preferredColorScheme=0"
    )

    for picture in (light, dark):
        assert np.ptp(picture) > 180  # text stands out from the paper
    assert np.median(light) > 240
    assert np.median(dark) < 40


def test_the_page_prints_on_a_few_sheets(
    report: Built, chromium: Callable[..., str], tmp_path: Path
) -> None:
    chromium(report.path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")

    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= report.sheets
