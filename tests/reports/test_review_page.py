import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from atrous.inference.results_folder import write_note
from atrous.inference.review import doubtful_region, review, smoothed_doubt
from atrous.inference.segmentation import Segmentation
from atrous.inference.sources import Source
from atrous.inference.writers import write_results
from atrous.labels import LabelSet
from atrous.reports.review_page import LISTED, SHOWN, _drawn, _outline, write_review

LABELS = LabelSet(("road", "<b>tree</b>"))


@pytest.fixture
def batch(tmp_path):
    """Write two results, one doubtful in a corner and one certain everywhere."""
    out = tmp_path / "out"
    out.mkdir()
    sources = []
    for name, doubt in (("sure", 0.0), ("torn", 0.9)):
        image = np.full((60, 90, 3), 120, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        entropy = np.zeros((60, 90), np.float32)
        entropy[10:30, 20:50] = doubt
        labels = np.ones((60, 90), np.uint8)
        spread = {"mutual_information": entropy, "variance": entropy / 9}
        result = Segmentation(labels, LABELS, None, entropy, image, **spread)
        sources.append(Source(tmp_path / f"{name}.png", Path(f"{name}.png")))
        write_results(result, out / f"{name}.png", overlay=False)
    write_note(out, sources, {})
    return out


def test_the_page_shows_the_doubtful_first_and_escapes_names(batch):
    items = review(batch, LABELS)
    page = write_review(batch, items, LABELS, model="m", method="flip").read_text()
    assert page.index("torn.png") < page.index("sure.png")
    assert page.count("<img ") == 6
    assert "<b>tree</b>" not in page
    assert "&lt;b&gt;tree&lt;/b&gt;" in page
    assert "nothing doubtful" in page
    assert "Mutual inf." in page
    assert (
        "Mutual inf."
        not in write_review(batch, items, LABELS, model="m", method="entropy").read_text()
    )


def test_the_tables_hold_every_image(batch):
    items = review(batch, LABELS)
    write_review(batch, items, LABELS, model="m", method="flip")
    with (batch / "review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == ["torn.png", "sure.png"]
    left, top, width, height = (int(rows[0][k]) for k in ("left", "top", "width", "height"))
    assert 20 <= left < left + width <= 50  # the most doubtful part of the spot
    assert 10 <= top < top + height <= 30
    assert rows[0]["classes"] == "<b>tree</b> 1.00"
    assert rows[1]["left"] == ""
    assert float(rows[0]["doubt"]) == pytest.approx(600 * 0.9 / 5400, rel=1e-3)
    assert float(rows[0]["variance"]) == pytest.approx(600 * 0.1 / 5400, rel=1e-3)
    assert float(rows[1]["variance"]) == 0
    content = json.loads((batch / "review.json").read_text())
    assert content["images"][0]["variance"] == pytest.approx(float(rows[0]["variance"]), rel=1e-5)
    assert content["images"][0]["box"] == [left, top, width, height]
    assert content["images"][1]["box"] is None


def test_an_image_that_is_gone_or_changed_keeps_its_row(batch):
    items = review(batch, LABELS)
    items[0].image.unlink()
    Image.new("RGB", (5, 5)).save(items[1].image)
    page = write_review(batch, items, LABELS, model="m", method="flip").read_text()
    assert "<img " not in page
    assert "torn.png" in page


def test_the_outline_is_that_of_the_region(batch):
    region = doubtful_region(smoothed_doubt(np.pad(np.ones((20, 30), np.float32), 40)))
    outline = _outline(region, region.shape)
    filled = cv2.drawContours(np.zeros(region.shape, np.uint8), outline, -1, 1, cv2.FILLED)
    np.testing.assert_array_equal(filled.astype(bool), region)
    plain = np.full((*region.shape, 3), 120, np.uint8)
    drawn = _drawn(plain, outline)
    assert (plain == 120).all()
    assert drawn.max() > 240
    assert drawn.min() < 60
    assert (drawn[0, 0] == 120).all()


def test_a_thousand_images_have_rows_and_the_first_have_pictures(batch):
    (item, _) = review(batch, LABELS)
    many = [item] * (LISTED + 10)
    page = write_review(batch, many, LABELS, model="m", method="flip").read_text()
    assert page.count("<img ") == 3 * SHOWN
    assert page.count("<tr>") == LISTED + 1
    assert "review.csv has all" in page
    assert len((batch / "review.csv").read_text().splitlines()) == LISTED + 11


def test_nothing_finished_is_a_page_too(tmp_path):
    page = write_review(tmp_path, [], LABELS, model="m", method="flip").read_text()
    assert "0 images by doubt" in page
