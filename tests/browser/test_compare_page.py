"""The comparison that lies in docs, in a real browser: every width, both themes, print."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

REPORT = Path(__file__).resolve().parents[2] / "docs" / "compare-camvid" / "report.html"

pytestmark = pytest.mark.slow


def test_the_page_fits_every_width_and_shows_every_picture(
    measured: Callable[[Path], dict[str, dict[str, Any]]],
) -> None:
    pictures = len(re.findall(r"<img ", REPORT.read_text(encoding="utf-8")))

    for width, found in measured(REPORT).items():
        assert found["beyond"] == [], width
        assert found["overflow"] == 0, width
        assert found["images"] == pictures, width
        assert found["broken"] == 0, width
        assert found["requests"] == 0, width


@pytest.mark.parametrize(("theme", "low", "high"), [(1, 240, 255), (0, 0, 40)])
def test_the_page_follows_the_theme_of_the_reader(
    theme: int, low: int, high: int, chromium: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "page.png"
    theme_flag = f"--blink-settings=preferredColorScheme={theme}"

    chromium(REPORT, "--window-size=900,700", f"--screenshot={path}", theme_flag)

    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("L"))
    assert np.ptp(shown) > 180  # text stands out from the paper
    assert low <= np.median(shown) <= high


def test_the_page_prints_on_a_few_sheets(chromium: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"

    chromium(REPORT, "--no-pdf-header-footer", f"--print-to-pdf={path}")

    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", path.read_bytes())) <= 8
