"""The report in a real browser: fits every width, loads every picture, follows the dark theme."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data import open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.inference import Predictor
from atrous.models import build_model
from atrous.reports import write_training_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

MEASURE = """<!doctype html><body><script>
const widths = [320, 390, 820, 1280];
let left = widths.length, found = {};
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.height = "900px";
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    found[width] = {
      overflow: root.scrollWidth - root.clientWidth,
      images: images.length,
      broken: images.filter(image => !image.complete || !image.naturalWidth).length,
      beyond: [...page.body.querySelectorAll("*")].filter(x => !x.closest(".scroll, svg")
        && x.getBoundingClientRect().right > root.clientWidth + 1)
        .map(x => x.outerHTML.slice(0, 90)),
      requests: frame.contentWindow.performance.getEntriesByType("resource")
        .filter(entry => !entry.name.startsWith("data:")).length,
    };
    if (--left === 0) {
      const result = document.createElement("pre");
      result.id = "found";
      result.textContent = JSON.stringify(found);
      document.body.append(result);
    }
  };
  frame.src = "REPORT";
  document.body.append(frame);
}
</script>"""

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


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Run headless Chromium on a page and return what it prints."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")

    def run(page: Path, *flags: str) -> str:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [program, *FLAGS, profile, *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return done.stdout

    return run


def test_the_page_fits_every_width_and_shows_every_picture(
    report: Path, chromium: Callable[..., str], tmp_path: Path
) -> None:
    measure = tmp_path / "measure.html"
    measure.write_text(MEASURE.replace("REPORT", report.as_uri()))

    page = chromium(
        measure, "--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"
    )

    match = re.search(r'<pre id="found">(.*?)</pre>', page)
    assert match, page[-500:]
    found = json.loads(html.unescape(match[1]))
    assert list(found) == ["320", "390", "820", "1280"]
    for width, measured in found.items():
        assert measured["beyond"] == [], width
        assert measured["overflow"] == 0, width
        assert measured["images"] == 16, width
        assert measured["broken"] == 0, width
        assert measured["requests"] == 0, width


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
