"""The review queue of a batch: a page with each doubtful region drawn, and two tables for tools."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous import __version__
from atrous.data.images import read_image
from atrous.data.masks import read_mask
from atrous.errors import InputError
from atrous.files import write_bytes, write_json, write_text
from atrous.inference.review import Doubtful, doubtful_region, smoothed_doubt
from atrous.inference.segmentation import display_rgb
from atrous.inference.writers import FULL_SCALE, entropy_path
from atrous.labels import LabelSet
from atrous.reports.class_rows import css_colour
from atrous.reports.page import render
from atrous.reports.pictures import WRONG, View, error_picture, photo_uri

__all__ = ["Exhibit", "write_review"]

SHOWN = 24
"""Images with pictures; the rest stand in the table."""

LISTED = 500
"""Rows of the table on the page; review.csv has all."""

SIDE = 420
"""Longest side of a picture."""

COLUMNS = (
    *("image", "mask", "doubt", "mutual_information", "variance"),
    *("left", "top", "width", "height", "classes"),
)
"""Of review.csv."""


@dataclass(frozen=True)
class Exhibit:
    """One image of the page, its pictures as data URIs.

    Attributes:
        item: What is known of it.
        size: Height and width of the pictures.
        image: With the region drawn.
        classes: In the classes' colours, with the region drawn.
        doubt: The image greyed, the entropy in one strong colour.
    """

    item: Doubtful
    size: tuple[int, int]
    image: str
    classes: str
    doubt: str


def write_review(
    folder: Path,
    items: Sequence[Doubtful],
    label_set: LabelSet,
    *,
    model: str,
    method: str,
) -> Path:
    """Write review.html, review.csv and review.json into a folder of results.

    Args:
        folder: Of the batch; earlier files of these names are replaced.
        items: The most doubtful first.
        label_set: The model's classes.
        model: Its name, for the headline.
        method: What the doubt was taken from.

    Returns:
        The path of the page.

    Raises:
        OSError: The disk is full, ...; earlier files are intact.
    """
    content = {
        "title": f"{len(items)} image{'' if len(items) == 1 else 's'} by doubt",
        "subtitle": f"{model} · {method} · {folder}",
        "version": __version__,
        "written": datetime.now().astimezone(),
        "exhibits": [
            shown for item in items[:SHOWN] if (shown := _exhibit(folder, item, label_set))
        ],
        "items": items[:LISTED],
        "count": len(items),
        "swatches": list(zip(label_set.names, map(css_colour, label_set.colours), strict=True)),
        "wrong": css_colour(WRONG),
        "method": method,
    }
    write_json(
        folder / "review.json",
        {"model": model, "method": method, "images": [item.to_json() for item in items]},
    )
    write_bytes(folder / "review.csv", _csv(items))
    path = folder / "review.html"
    write_text(path, render("review.html.jinja", content))
    return path


def _csv(items: Sequence[Doubtful]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for item in items:
        figures = (item.doubt, item.mutual_information, item.variance)
        names = "; ".join(f"{name} {share:.2f}" for name, share in item.classes)
        written = (f"{figure:.6g}" for figure in figures)
        box = item.box or ("",) * 4
        rows.writerow([item.image, item.mask.as_posix(), *written, *box, names])
    return text.getvalue().encode()


def _exhibit(folder: Path, item: Doubtful, label_set: LabelSet) -> Exhibit | None:
    """Return the pictures of one image; None where it is no longer what it was."""
    mask = folder / item.mask
    try:
        rgb = display_rgb(read_image(item.image))
        labels = read_mask(mask).values.astype(np.uint8)
        entropy = read_mask(entropy_path(mask)).values.astype(np.float32) / np.float32(FULL_SCALE)
    except (InputError, OSError):
        return None
    if rgb.shape[:2] != labels.shape or entropy.shape != labels.shape:
        return None
    zoom = max(1, SIDE // max(labels.shape))  # on a tiny picture the line would hide the region
    rgb, labels = (each.repeat(zoom, 0).repeat(zoom, 1) for each in (rgb, labels))
    shade = entropy.repeat(zoom, 0).repeat(zoom, 1)
    scored = np.ones(labels.shape, np.float32)
    shown = View(rgb, labels, labels, shade, scored).shrunk(SIDE)
    outline = _outline(doubtful_region(smoothed_doubt(entropy)), shown.size)
    colours = label_set.palette()[shown.labels]
    return Exhibit(
        item,
        shown.size,
        photo_uri(_drawn(shown.rgb, outline)),
        photo_uri(_drawn(cv2.addWeighted(shown.rgb, 0.4, colours, 0.6, 0), outline)),
        photo_uri(error_picture(shown)),
    )


def _outline(region: NDArray[np.bool_], size: tuple[int, int]) -> Sequence[np.ndarray]:
    """Return the contours of a region, enlarged or shrunk to pictures of this size."""
    height, width = size
    soft = cv2.resize(region.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours(
        (soft > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return contours


def _drawn(rgb: np.ndarray, outline: Sequence[np.ndarray]) -> np.ndarray:
    """Return a picture with the contours on it: white on black, so that it shows on any ground."""
    drawn = np.ascontiguousarray(rgb).copy()
    cv2.drawContours(drawn, outline, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(drawn, outline, -1, (255, 255, 255), 2, cv2.LINE_AA)
    return drawn
