"""One row for each image as CSV, for a spreadsheet or a data frame."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atrous.evaluation.calibration import expected_calibration_error
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.image_names import image_names
from atrous.evaluation.image_score import ImageScore
from atrous.evaluation.scores import CLASS_FIGURES, MEAN_FIGURES
from atrous.files import write_text

__all__ = ["write_image_table"]


def write_image_table(path: Path, evaluation: Evaluation) -> None:
    """Write a row for each image: its means, boundary scores, ECE and the IoU of each class.

    A figure that an image does not have (the IoU of a class that it does not show) is an empty
    cell. Images are told by their file names or, where those repeat, by their paths. The mean of a
    column is not the figure of the split: that one is taken from the sums.

    Args:
        path: Where the CSV file will be (UTF-8, commas, a line of names first).
        evaluation: Its `per_image` are the rows, in their order.

    Raises:
        OSError: The disk is full, ...; an earlier file is intact.
    """
    text = io.StringIO()
    names = image_names([image.path for image in evaluation.per_image])
    rows = [
        {"image": name, **dict(_row(image, evaluation))}
        for name, image in zip(names, evaluation.per_image, strict=True)
    ]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["image"])
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _row(image: ImageScore, evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    counts = np.stack([image.hits, image.truth, image.predicted])
    yield "scored_pixels", str(int(image.truth.sum()))
    yield "classes", str(int(np.count_nonzero((image.truth > 0) & evaluation.kept)))
    for name, figure in MEAN_FIGURES.items():
        yield name, _cell(float(figure(counts, evaluation.kept)))
    if (details := image.details) is not None:
        edges = details.boundary_f1[evaluation.kept]
        edges = edges[~np.isnan(edges)]
        yield "boundary_f1", _cell(float(edges.mean()) if edges.size else float("nan"))
        yield "boundary_iou", _cell(float(MEAN_FIGURES["mean_iou"](details.ring, evaluation.kept)))
        if details.calibration is not None:
            error = float(expected_calibration_error(details.calibration))
            yield "expected_calibration_error", _cell(error)
    for name, value in zip(evaluation.label_set.names, CLASS_FIGURES["iou"](counts), strict=True):
        yield f"iou {name}", _cell(float(value))


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"
