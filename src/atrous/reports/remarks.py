"""What the figures of a run come to, in sentences that a stranger understands."""

import math
from collections.abc import Sequence

from atrous.evaluation import Evaluation
from atrous.evaluation.evaluation import FEW_IMAGES
from atrous.reports.class_rows import ClassRow, largest_mistakes
from atrous.reports.page import percent
from atrous.reports.run_record import RunRecord

__all__ = ["join_names", "remarks"]

FALL = 0.01
"""A last mIoU this far below the best is worth a word."""


def remarks(
    evaluation: Evaluation,
    rows: Sequence[ClassRow],
    run: RunRecord | None = None,
    never_trained: Sequence[str] = (),
) -> list[str]:
    """Return what a colleague would point out after reading the whole report, a line each.

    Args:
        evaluation: The evaluation of the best model.
        rows: Its class table.
        run: The course of training, if the report is of one.
        never_trained: Names of the classes that the training split lacks.
    """
    split = str(evaluation.protocol.get("split", "val"))
    said = [_extremes(rows), _mistake(evaluation), _course(run) if run else ""]
    missing = [row.name for row in rows if not row.occurs]
    if missing:
        said.append(f"{_never(missing)} in {split}: not in the mean.")
    if evaluation.excluded:
        said.append(f"Excluded, so not in the mean either: {join_names(evaluation.excluded)}.")
    if rare := evaluation.rare_classes:
        said.append(
            f"In fewer than {FEW_IMAGES} images of {split}: {join_names(rare)}; the intervals of "
            "the means leave them out of some draws, so take these with care."
        )
    if never_trained:
        said.append(f"{_never(never_trained)} in train: the network cannot have learnt of it.")
    return [line for line in said if line]


def join_names(names: Sequence[str], *, most: int = 5) -> str:
    """Return names as running text: "a, b and c", or "a, b and 7 more"."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _extremes(rows: Sequence[ClassRow]) -> str:
    seen = [row for row in rows if row.occurs]
    if len(seen) < 2:
        return ""
    best, worst = seen[0], seen[-1]
    return f"Best class {best.name} (IoU {best.iou:.3f}), worst {worst.name} ({worst.iou:.3f})."


def _mistake(evaluation: Evaluation) -> str:
    names = evaluation.label_set.names
    for mistake in largest_mistakes(evaluation.matrix, count=1):
        true, taken_for = names[mistake.truth], names[mistake.predicted]
        return (
            f"Largest single mistake: {true} taken for {taken_for}, "
            f"{percent(mistake.of_errors)} of all wrong pixels."
        )
    return "Every scored pixel is right." if evaluation.num_present else ""


def _course(run: RunRecord) -> str:
    best = run.best
    if best is None or len(run.validations) < 3:
        return ""
    if best.step == run.validations[-1].step:
        return "The last validation was the best: more iterations may raise the score."
    last = run.validations[-1]
    if math.isfinite(last.mean_iou) and best.mean_iou - last.mean_iou > FALL:
        return (
            f"mIoU fell from {best.mean_iou:.3f} at iteration {best.step} to "
            f"{last.mean_iou:.3f} at the end; the best model was kept."
        )
    return ""


def _never(names: Sequence[str]) -> str:
    return f"{join_names(names)} never {'occurs' if len(names) == 1 else 'occur'}"
