"""What every page says about an evaluation, under the names that the templates use."""

from collections.abc import Sequence
from math import isfinite

from atrous.evaluation import Evaluation
from atrous.reports.class_rows import ClassRow, css_colour, largest_mistakes
from atrous.reports.heat_map import heat_map
from atrous.reports.pictures import WRONG
from atrous.reports.run_record import flatten

__all__ = ["score_content"]


def score_content(evaluation: Evaluation, rows: Sequence[ClassRow]) -> dict[str, object]:
    """Return the content of the headline, the class table and the confusion matrix."""
    baseline, constant = evaluation.baseline
    return {
        "evaluation": evaluation,
        "interval": evaluation.interval if isfinite(evaluation.interval[0]) else None,
        "baseline": baseline,
        "baseline_name": evaluation.label_set.names[constant],
        "rows": rows,
        "trend": any(row.course for row in rows),
        "swatches": [css_colour(colour) for colour in evaluation.label_set.colours],
        "wrong": css_colour(WRONG),
        "heat": heat_map(evaluation.matrix, evaluation.label_set),
        "mistakes": largest_mistakes(evaluation.matrix, count=8),
        "protocol": flatten(evaluation.protocol),
    }
