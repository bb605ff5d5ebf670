"""The honest line about a score: its interval, over how many classes, beside the trivial one."""

import math

from atrous.evaluation import Evaluation

__all__ = ["headline"]


def headline(evaluation: Evaluation) -> str:
    """Return the mean IoU and what gives it its meaning; a second line if nothing was learnt."""
    if not evaluation.num_present:
        why = "every class that occurs is excluded" if evaluation.matrix.any() else "all is void"
        return f"Nothing could be scored: {why} in the labels of this split."
    low, high = evaluation.interval
    interval = "" if math.isnan(low) else f" (95 % {low:.3f}-{high:.3f})"  # one image has none
    baseline, label = evaluation.baseline
    names = evaluation.label_set.names
    text = (
        f"mIoU {evaluation.mean_iou:.3f}{interval} over {evaluation.num_present} of {len(names)} "
        f"classes, at label size; all {names[label]} would score {baseline:.3f}"
    )
    if evaluation.has_learnt:
        return text
    return text + "\nThis network has learnt nothing yet: train longer, or look at the masks."
