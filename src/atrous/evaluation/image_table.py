"""One row for each image as CSV or Parquet, for a spreadsheet or a data frame."""

import csv
import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from atrous.errors import InputError
from atrous.evaluation.calibration import expected_calibration_error
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.image_names import image_names
from atrous.evaluation.image_score import ImageScore
from atrous.evaluation.protocol_line import protocol_line
from atrous.evaluation.scores import CLASS_FIGURES, MEAN_FIGURES
from atrous.files import check_place, write_bytes, write_text

__all__ = ["check_table_path", "write_image_table"]

Cell = str | int | float | None


def write_image_table(path: Path, evaluation: Evaluation) -> None:
    """Write a row for each image: its means, boundary scores, ECE and the IoU of each class.

    A figure that an image does not have (the IoU of a class that it does not show) is an empty
    cell, null in Parquet. Images are told by their file names or, where those repeat, by their
    paths. The mean of a column is not the figure of the split: that one is taken from the sums.
    The last column, alike in all rows, says by which protocol.

    Args:
        path: Where the file will be: .csv (UTF-8, commas, a line of names first) or .parquet.
        evaluation: Its `per_image` are the rows, in their order.

    Raises:
        InputError: As `check_table_path`.
        OSError: The disk is full, ...; an earlier file is intact.
    """
    check_table_path(path)
    names = image_names([image.path for image in evaluation.per_image])
    protocol = protocol_line(evaluation.protocol)
    rows = [
        {"image": name, **dict(_row(image, evaluation)), "protocol": protocol}
        for name, image in zip(names, evaluation.per_image, strict=True)
    ]
    if path.suffix.lower() == ".parquet":
        write_bytes(path, _parquet(rows))
    else:
        write_text(path, _csv(rows))


def check_table_path(path: Path) -> None:
    """Refuse a table that could not be written; to be called before the images are scored.

    Raises:
        InputError: Neither .csv nor .parquet, .parquet without pyarrow, or a place where no file
            can be.
    """
    check_place(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"{path} is no table that can be written; name it .csv or .parquet")
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f'{path} needs pyarrow: run pip install "atrous[formats]", or name it .csv'
        )


def _csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["image"])
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _text(value) for name, value in row.items()})
    return text.getvalue()


def _parquet(rows: Sequence[Mapping[str, Cell]]) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {str: arrow.string(), int: arrow.int64()}  # else a fraction, or null
    schema = arrow.schema(
        [(name, kinds.get(type(value), arrow.float64())) for name, value in rows[0].items()]
        if rows
        else [("image", arrow.string())]
    )
    sink = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows], schema=schema), sink)
    return sink.getvalue()


def _row(image: ImageScore, evaluation: Evaluation) -> Iterator[tuple[str, Cell]]:
    counts = np.stack([image.hits, image.truth, image.predicted])
    yield "scored_pixels", int(image.truth.sum())
    yield "classes", int(np.count_nonzero((image.truth > 0) & evaluation.kept))
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


def _cell(value: float) -> float | None:
    return None if np.isnan(value) else value


def _text(value: Cell) -> str:
    return f"{value:.6f}" if isinstance(value, float) else "" if value is None else str(value)
