"""How good a segmentation is: one confusion matrix, read in several ways, with an interval."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.evaluation.bootstrap import bootstrap_interval
    from atrous.evaluation.boundary import boundary_f1
    from atrous.evaluation.config import EvaluateConfig
    from atrous.evaluation.confusion import confusion_matrix
    from atrous.evaluation.confusion_metric import ConfusionMatrix
    from atrous.evaluation.evaluation import Evaluation, ImageScore
    from atrous.evaluation.loop import evaluate
    from atrous.evaluation.predictions import evaluate_predictions
    from atrous.evaluation.run import evaluate_config
    from atrous.evaluation.scores import trivial_baseline

__all__ = [
    "ConfusionMatrix",
    "EvaluateConfig",
    "Evaluation",
    "ImageScore",
    "bootstrap_interval",
    "boundary_f1",
    "confusion_matrix",
    "evaluate",
    "evaluate_config",
    "evaluate_predictions",
    "trivial_baseline",
]

__getattr__ = lazy(
    __name__,
    {
        "ConfusionMatrix": "confusion_metric",
        "EvaluateConfig": "config",
        "Evaluation": "evaluation",
        "ImageScore": "evaluation",
        "bootstrap_interval": "bootstrap",
        "boundary_f1": "boundary",
        "confusion_matrix": "confusion",
        "evaluate": "loop",
        "evaluate_config": "run",
        "evaluate_predictions": "predictions",
        "trivial_baseline": "scores",
    },
)
