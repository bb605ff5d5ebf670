"""The course of a run as charts: mIoU, loss, learning rate, adversary over the iterations."""

import math

from atrous.reports.chart import Chart, Dot, Line, line_chart, thin
from atrous.reports.run_record import RunRecord

__all__ = ["course_charts"]

MOST_POINTS = 240
"""Points of a curve; more cannot be told apart at its width."""

SMOOTH_POINTS = 24
"""Points of the smoothed loss: each is the mean of a 24th of the run."""


def course_charts(run: RunRecord, baseline: float, baseline_name: str) -> list[Chart]:
    """Return the charts that the metrics of `run` can fill, the most telling first.

    Args:
        run: The record of the run.
        baseline: mIoU of the best constant prediction, drawn for comparison.
        baseline_name: What it predicts.
    """
    last = run.last_step
    charts = []
    if run.validations:
        charts.append(_score_chart(run, last, baseline, baseline_name))
    if run.train:
        charts += [_loss_chart(run, last), _rate_chart(run, last)]
    if any(math.isfinite(x.adversary_accuracy) for x in run.train):
        charts.append(_adversary_chart(run, last))
    return charts


def _score_chart(run: RunRecord, last: int, baseline: float, baseline_name: str) -> Chart:
    points = thin([(x.step, x.mean_iou) for x in run.validations], MOST_POINTS)
    dots = [
        Dot("val", x, y, f"iteration {x:g}: mIoU {y:.3f}") for x, y in points if len(points) < 60
    ]
    if run.best:
        step, score = run.best.step, run.best.mean_iou
        dots.append(Dot("best", step, score, f"best: mIoU {score:.3f} at iteration {step}"))
    known = math.isfinite(baseline)
    return line_chart(
        "mIoU",
        [Line("val", points)],
        last_step=last,
        top=1.0,
        key=[("val", "val"), ("level", f"{baseline_name} {baseline:.3f}")][: 1 + known],
        dots=dots,
        level=baseline if known else None,
    )


def _loss_chart(run: RunRecord, last: int) -> Chart:
    raw = [(x.step, x.loss) for x in run.train]
    val = [(x.step, x.loss) for x in run.validations]
    lines = [Line("faint", thin(raw, MOST_POINTS)), Line("train", thin(raw, SMOOTH_POINTS))]
    lines.append(Line("val", thin(val, MOST_POINTS)))
    key = [("train", "train"), ("val", "val")] if lines[-1].points else [("train", "train")]
    return line_chart("Loss", lines, last_step=last, key=key)


def _rate_chart(run: RunRecord, last: int) -> Chart:
    points = thin([(x.step, x.lr) for x in run.train], MOST_POINTS)
    return line_chart("Learning rate", [Line("train", points)], last_step=last)


def _adversary_chart(run: RunRecord, last: int) -> Chart:
    """Draw how many maps, true and predicted, the adversary tells rightly; 0.5 is guessing."""
    points = [(x.step, x.adversary_accuracy) for x in run.train]
    raw, smooth = (
        Line("faint", thin(points, MOST_POINTS)),
        Line("train", thin(points, SMOOTH_POINTS)),
    )
    return line_chart(
        "Adversary: told rightly",
        [raw, smooth],
        last_step=last,
        top=1.0,
        key=[("level", "guessing")],
        level=0.5,
    )
