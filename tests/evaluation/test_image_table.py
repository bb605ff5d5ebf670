import csv
from pathlib import Path

import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation import Evaluation, ImageScore, confusion_matrix, scores
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.image_table import check_table_path, write_image_table
from atrous.evaluation.subject import Prediction
from atrous.labels import VOID, LabelSet

LABELS = LabelSet(("road, wet", "car", "dog"))


def made(index, void=False):
    rng = np.random.default_rng(index)
    labels = np.kron(rng.choice([0, 1], (4, 4)), np.ones((6, 6))).astype(np.uint8)
    labels = np.full_like(labels, VOID) if void else labels
    predictions = rng.integers(0, 3, labels.shape).astype(np.uint8)
    matrix = confusion_matrix(predictions, labels, 3)
    sure = rng.uniform(0.4, 1, labels.shape).astype(np.float32)
    details = ImageDetails.of(Prediction(predictions, sure), labels, matrix)
    return ImageScore.of(Path(f"{index}.png"), matrix, details), matrix


def three_images():
    images = [made(0), made(1), made(2, void=True)]
    return images, Evaluation(sum(m for _, m in images), LABELS, tuple(i for i, _ in images))


def test_every_image_is_a_row_with_its_own_figures(tmp_path):
    images, whole = three_images()

    write_image_table(tmp_path / "images.csv", whole)

    with (tmp_path / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    for row, (image, matrix) in zip(rows[:2], images[:2], strict=True):
        assert float(row["mean_iou"]) == pytest.approx(image.mean_iou, abs=1e-6)
        assert float(row["pixel_accuracy"]) == pytest.approx(image.pixel_accuracy, abs=1e-6)
        assert float(row["iou car"]) == pytest.approx(
            scores.intersection_over_union(matrix)[1], abs=1e-6
        )
        assert float(row["boundary_f1"]) == pytest.approx(
            np.nanmean(image.details.boundary_f1), abs=1e-6
        )
        assert 0 < float(row["expected_calibration_error"]) < 1
        assert "iou road, wet" in row
        assert row["iou dog"] == ""  # the image shows none
    assert rows[2]["scored_pixels"] == "0"
    assert {rows[2][name] for name in ("mean_iou", "boundary_f1", "iou car")} == {""}


def test_a_parquet_file_holds_the_figures_of_the_csv(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is in the extra atrous[formats]")
    from pyarrow import parquet

    _, whole = three_images()
    for name in ("images.csv", "images.PARQUET"):
        write_image_table(tmp_path / name, whole)

    table = parquet.read_table(tmp_path / "images.PARQUET").to_pylist()
    with (tmp_path / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in table] == [list(row) for row in rows]
    for row, expected in zip(table, rows, strict=True):
        words = ("image", "protocol")
        assert [row[name] for name in words] == [expected[name] for name in words]
        assert isinstance(row["scored_pixels"], int)
        for name in row.keys() - set(words):
            if expected[name] == "":
                assert row[name] is None
            else:
                assert row[name] == pytest.approx(float(expected[name]), abs=1e-6)


def test_parquet_without_pyarrow_is_refused_with_the_line_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'needs pyarrow: run pip install "atrous\[formats\]"'):
        write_image_table(tmp_path / "images.parquet", three_images()[1])
    assert not list(tmp_path.iterdir())


def test_what_goes_to_parquet_has_types_and_nulls(tmp_path, monkeypatch):
    """Without pyarrow in the way: what would be handed to it."""
    seen = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(
        "atrous.evaluation.image_table._parquet", lambda rows: seen.append(rows) or b""
    )
    write_image_table(tmp_path / "images.parquet", three_images()[1])
    (rows,) = seen
    assert {type(row["mean_iou"]) for row in rows} == {float, type(None)}
    assert {type(row["scored_pixels"]) for row in rows} == {int}
    assert rows[0]["iou dog"] is None


def test_a_table_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"images.xlsx is no table.*name it .csv or .parquet"):
        check_table_path(tmp_path / "images.xlsx")
