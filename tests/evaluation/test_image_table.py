import csv
from pathlib import Path

import numpy as np
import pytest

from atrous.evaluation import Evaluation, ImageScore, confusion_matrix, scores
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.image_table import write_image_table
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


def test_every_image_is_a_row_with_its_own_figures(tmp_path):
    images = [made(0), made(1), made(2, void=True)]
    whole = Evaluation(sum(m for _, m in images), LABELS, tuple(image for image, _ in images))

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
