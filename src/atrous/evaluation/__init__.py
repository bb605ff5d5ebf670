"""How good a segmentation is: one confusion matrix, read in several ways, with an interval."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.evaluation.bootstrap import Difference, bootstrap_interval, paired_bootstrap
    from atrous.evaluation.boundary import boundary_f1
    from atrous.evaluation.config import EvaluateConfig
    from atrous.evaluation.confusion import confusion_matrix
    from atrous.evaluation.confusion_metric import ConfusionMatrix
    from atrous.evaluation.evaluation import Evaluation
    from atrous.evaluation.figures import Figure
    from atrous.evaluation.image_score import ImageScore
    from atrous.evaluation.loop import evaluate
    from atrous.evaluation.predictions import evaluate_predictions
    from atrous.evaluation.run import evaluate_config
    from atrous.evaluation.scores import trivial_baseline

__all__ = [
    "ConfusionMatrix",
    "Difference",
    "EvaluateConfig",
    "Evaluation",
    "Figure",
    "ImageScore",
    "bootstrap_interval",
    "boundary_f1",
    "confusion_matrix",
    "evaluate",
    "evaluate_config",
    "evaluate_predictions",
    "paired_bootstrap",
    "trivial_baseline",
]

__getattr__ = lazy(
    __name__,
    {
        "ConfusionMatrix": "confusion_metric",
        "Difference": "bootstrap",
        "EvaluateConfig": "config",
        "Evaluation": "evaluation",
        "Figure": "figures",
        "ImageScore": "image_score",
        "bootstrap_interval": "bootstrap",
        "boundary_f1": "boundary",
        "confusion_matrix": "confusion",
        "evaluate": "loop",
        "evaluate_config": "run",
        "evaluate_predictions": "predictions",
        "paired_bootstrap": "bootstrap",
        "trivial_baseline": "scores",
    },
)
