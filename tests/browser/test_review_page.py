"""The review queue in a real browser: fits every width, loads every picture, follows the theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.data import make_scene
from atrous.inference import Predictor
from atrous.inference.review import review
from atrous.inference.run import run_batch
from atrous.inference.sources import find_sources
from atrous.reports import write_review

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The review of three made scenes, one of them with a long name."""
    folder = tmp_path_factory.mktemp("review")
    (folder / "photos").mkdir()
    for seed, name in enumerate(("a", "b" * 120, "c")):
        Image.fromarray(make_scene(seed, (96, 128))[0]).save(folder / "photos" / f"{name}.png")
    predictor = Predictor(atrous.load("street-scenes"), uncertainty="flip", device="cpu")
    out = folder / "out"
    run_batch(predictor, find_sources([str(folder / "photos")]), out)
    items = review(out, predictor.model.label_set)
    return write_review(out, items, predictor.model.label_set, model="street-scenes", method="flip")


def test_the_page_fits_every_width_and_shows_every_picture(
    page: Path, measured: Callable[[Path], dict[str, dict[str, Any]]]
) -> None:
    for width, found in measured(page).items():
        assert found["beyond"] == [], width
        assert found["overflow"] == 0, width
        assert found["images"] == 9, width
        assert found["broken"] == 0, width
        assert found["requests"] == 0, width


def test_the_page_follows_the_theme_of_the_reader(
    page: Path, chromium: Callable[..., str], tmp_path: Path
) -> None:
    brightness = {}
    for theme, flags in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        path = tmp_path / f"{theme}.png"
        chromium(page, "--window-size=900,700", f"--screenshot={path}", *flags)
        with Image.open(path) as picture:
            brightness[theme] = float(np.asarray(picture.convert("L"))[:100].mean())
    assert brightness["light"] > 200
    assert brightness["dark"] < 80
