"""The comparison that lies in docs: small, its pictures thumbnails, its figures the page's."""

import base64
import io
import json
import re
from pathlib import Path

from PIL import Image

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "compare-camvid"
LARGEST = 240
"""Pixels a side of a picture of CamVid, which is for research only."""


def test_it_stays_below_two_megabytes() -> None:
    assert sum(path.stat().st_size for path in EXAMPLE.iterdir()) < 2_000_000


def test_no_picture_is_larger_than_a_thumbnail() -> None:
    page = (EXAMPLE / "report.html").read_text(encoding="utf-8")
    pictures = re.findall(r"data:image/(?:webp|png|jpeg);base64,([A-Za-z0-9+/=]+)", page)

    assert len(pictures) > 20
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert max(image.size) <= LARGEST


def test_the_table_beside_it_has_the_figures_of_the_page() -> None:
    networks = json.loads((EXAMPLE / "results.json").read_text(encoding="utf-8"))["networks"]
    table = (EXAMPLE / "README.md").read_text(encoding="utf-8")

    assert len(networks) >= 4
    for row in networks:
        low, high = row["interval_95"]
        start = f"| `{row['network']}` | {row['mean_iou']:.3f} | {low:.3f}-{high:.3f} |"
        assert start in table


def test_no_path_of_a_machine_stands_in_it() -> None:
    for name in ("report.html", "results.json", "README.md"):
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        assert not re.search(r"/(tmp|home|root|work|Users)/", text), name
