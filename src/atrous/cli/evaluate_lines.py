"""What `atrous evaluate` prints: the classes, the mean in its right light, and how it was taken."""

import math

from atrous.cli.console import table
from atrous.cli.headline import headline
from atrous.evaluation import Evaluation
from atrous.evaluation.protocol_line import protocol_line

__all__ = ["result_lines"]

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

FITTED_HERE = "the model's temperature was fitted on this split: other images tell its worth"


def result_lines(result: Evaluation) -> list[str]:
    """Return the table of classes, the headline, the other figures and the protocol."""
    return [_class_table(result), headline(result), *_other_figures(result), *_stamp(result)]


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


def _stamp(result: Evaluation) -> list[str]:
    departures = result.protocol.get("protocol_departures")
    more = [f"departs from the paper: {departures}"] if departures else []
    if result.protocol.get("temperature_fitted_here"):
        more.append(FITTED_HERE)
    return [protocol_line(result.protocol), *more]


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
