"""The report of one evaluation: how good, how sure, and an atlas of what goes wrong."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from atrous import __version__
from atrous.data import DataSpec, Pair
from atrous.evaluation import Evaluation, Figure
from atrous.evaluation.image_table import write_image_table
from atrous.evaluation.subject import Subject
from atrous.evaluation.trimap import WIDTHS
from atrous.files import write_json, write_text
from atrous.reports.atlas import worst_patches
from atrous.reports.chart import Chart, Dot, Line, line_chart
from atrous.reports.class_rows import class_rows
from atrous.reports.gallery import worst_images
from atrous.reports.page import count, render
from atrous.reports.remarks import remarks
from atrous.reports.score_content import score_content
from atrous.reports.size_rows import class_sizes, worst_confusions

__all__ = ["write_evaluation_report"]

WORST = 6
"""Images shown; those that look alike are passed over."""

FACTS = (
    ("pixel_accuracy", "Pixel accuracy"),
    ("mean_accuracy", "Mean class accuracy"),
    ("mean_dice", "Mean Dice (F1)"),
    ("frequency_weighted_iou", "Frequency-weighted IoU"),
    ("boundary_f1", "Boundary F1"),
    ("boundary_iou", "Boundary IoU"),
    ("expected_calibration_error", "Calibration error"),
    ("expected_calibration_error_uncalibrated", "… without temperature"),
)


def write_evaluation_report(
    folder: Path, evaluation: Evaluation, spec: DataSpec, subject: Subject
) -> Path:
    """Write report.html, images.csv and result.json: no network, no script.

    Args:
        folder: Made if it is missing; earlier files of these names are replaced.
        evaluation: Made with details.
        spec: The data; the shown images are read again from it.
        subject: What was evaluated; it predicts the shown images once more.

    Returns:
        The path of the page.

    Raises:
        OSError: The disk is full, ...; earlier files are intact.
    """

    def predict(pair: Pair) -> np.ndarray:
        return subject.predict(pair, spec.read_labels(pair)).labels.astype(np.uint8)

    split = str(evaluation.protocol.get("split", "val"))
    worst = worst_images(evaluation, spec, predict, split=split, most=WORST)
    rows = class_rows(evaluation.matrix, evaluation.label_set)
    content = {
        **score_content(evaluation, rows),
        "title": _title(evaluation.protocol),
        "subtitle": f"{split} of {spec.root.name} · {count(len(evaluation.per_image))} images",
        "version": __version__,
        "written": datetime.now().astimezone(),
        "split": split,
        "remarks": remarks(evaluation, rows),
        "facts": [(name, evaluation.figures.get(key)) for key, name in FACTS],
        "class_figures": evaluation.class_figures,
        "worst": worst,
        "patches": worst_patches(evaluation, spec, predict, split=split),
        "charts": _charts(evaluation),
        "sizes": evaluation.object_sizes,
        "size_confusions": worst_confusions(evaluation),
        "class_sizes": class_sizes(evaluation),
    }
    write_image_table(folder / "images.csv", evaluation)
    write_json(folder / "result.json", evaluation.to_json())
    path = folder / "report.html"
    write_text(path, render("evaluation_report.html.jinja", content))
    return path


def _title(protocol: Mapping[str, object]) -> str:
    return str(protocol.get("model") or f"Masks in {protocol.get('predictions')}")


def _charts(evaluation: Evaluation) -> list[Chart]:
    """Return the curves over the distance to a boundary and over the confidence."""
    if not evaluation.curves or not evaluation.num_present:
        return []
    charts = [_trimap_chart(evaluation.curves["trimap_iou"], evaluation.mean_iou)]
    if rows := evaluation.reliability:
        points = tuple((100 * row["confidence"], row["accuracy"]) for row in rows)
        dots = [
            Dot("val", x, y, f"{x:.1f} % sure: {100 * y:.1f} % right, {row['share']:.1%} of pixels")
            for (x, y), row in zip(points, rows, strict=True)
        ]
        lines = [Line("train", ((0.0, 0.0), (100.0, 1.0))), Line("val", points)]
        key = [("val", "this network"), ("train", "calibrated")]
        name = "Share right, by confidence in %"
        charts.append(line_chart(name, lines, last_step=100, top=1.0, key=key, dots=dots))
    return charts


def _trimap_chart(figures: list[Figure], whole: float) -> Chart:
    def line(kind: str, values: list[float]) -> Line:
        return Line(kind, tuple(zip(map(float, WIDTHS), values, strict=True)))

    lines = [
        line("faint", [figure.low for figure in figures]),
        line("faint", [figure.high for figure in figures]),
        line("val", [figure.value for figure in figures]),
    ]
    key = [("level", f"everywhere {whole:.3f}")]
    name = "mIoU, by width of the band in px"
    return line_chart(name, lines, last_step=WIDTHS[-1], top=1.0, key=key, level=whole)
