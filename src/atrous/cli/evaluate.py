"""`atrous evaluate MODEL --data D`: every figure beside what predicting one class would score."""

import math

from atrous.cli.console import answer, progress, table
from atrous.cli.data_faults import look_through
from atrous.cli.headline import headline
from atrous.data import DataSpec
from atrous.evaluation import EvaluateConfig, Evaluation, evaluate_config
from atrous.evaluation.image_table import check_table_path
from atrous.evaluation.run import open_subject
from atrous.evaluation.subject import Subject
from atrous.weights.sources import check_source

__all__ = ["run"]

BAND = 3
"""Width in pixels of the band whose mean IoU is printed; the whole curve is in the JSON."""

FIGURES = (
    {
        "pixel_accuracy": "pixel accuracy",
        "mean_accuracy": "mean accuracy",
        "mean_dice": "mean Dice",
        "frequency_weighted_iou": "frequency-weighted IoU",
    },
    {
        "boundary_f1": "boundary F1",
        "boundary_iou": "boundary IoU",
        "near boundaries": f"mIoU within {BAND} px of boundaries",
    },
    {"expected_calibration_error": "expected calibration error"},
    {"expected_calibration_error_uncalibrated": "without the model's temperature"},
)
"""What is printed below the mean IoU, line by line; finished masks have no calibration."""

FEW = 8


def run(config: EvaluateConfig) -> int:
    """Score a model or a folder of masks; return 0."""
    if config.model is not None:
        check_source(config.model)  # before the data, which may take minutes
    if config.images_table is not None:
        check_table_path(config.images_table)
    spec = look_through(config.data, config.skip_bad)
    subject = _open(config, spec)
    with progress(None, "images") as bar:
        result = evaluate_config(config, spec, subject=subject, progress=bar)
    lines = [_class_table(result), headline(result), *_other_figures(result)]
    if config.out is not None:
        lines.append(f"Result: {config.out}")
    if config.images_table is not None:
        lines.append(f"Images: {config.images_table}")
    if config.report is not None:
        from atrous.reports import write_evaluation_report

        page = write_evaluation_report(config.report, result, spec, subject)
        lines.append(f"Report: {page}")
    answer("\n".join(lines), result.to_json())
    return 0


def _open(config: EvaluateConfig, spec: DataSpec) -> Subject:
    if config.predictions is None:
        return open_subject(config, spec)
    with progress(None, "looking through the masks", unit="mask") as bar:
        return open_subject(config, spec, progress=bar)


def _other_figures(result: Evaluation) -> list[str]:
    figures = {name: figure.value for name, figure in result.figures.items()}
    figures["near boundaries"] = result.curves["trimap_iou"][BAND - 1].value
    lines = [
        "   ".join(f"{words} {_text(figures[name])}" for name, words in row.items())
        for row in FIGURES
        if set(row) <= set(figures)
    ]
    for why, names in (("never occur", result.absent), ("excluded", result.excluded)):
        if names:
            more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
            lines.append(f"not in the means: {', '.join(names[:FEW])}{more} ({why})")
    return lines


def _text(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _class_table(result: Evaluation) -> str:
    truth = result.matrix.sum(1)
    rows: list[tuple[str, ...]] = [
        ("class", "IoU", "accuracy", "precision", "Dice", "share of pixels")
    ]
    columns = (result.iou, result.class_accuracy, result.precision, result.dice)
    for index, name in enumerate(result.label_set.names):
        share = truth[index] / max(truth.sum(), 1)
        scores = (column[index] for column in columns)
        cells = [_text(score) for score in scores]
        rows.append((name, *cells, f"{share:.2%}".replace("%", " %")))
    return table(rows, right=(1, 2, 3, 4, 5))
