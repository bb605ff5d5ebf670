"""Images to labels: the predictor that ships is the one that evaluation measures."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.inference.adapter import adapt
    from atrous.inference.config import PredictConfig
    from atrous.inference.opening import open_predictor
    from atrous.inference.predictor import Predictor
    from atrous.inference.run import BatchResult, predict_batch
    from atrous.inference.sampling import monte_carlo
    from atrous.inference.segmentation import Segmentation
    from atrous.inference.stitching import shift_and_stitch
    from atrous.inference.uncertainty import Uncertainty

__all__ = [
    "BatchResult",
    "PredictConfig",
    "Predictor",
    "Segmentation",
    "Uncertainty",
    "adapt",
    "monte_carlo",
    "open_predictor",
    "predict_batch",
    "shift_and_stitch",
]

__getattr__ = lazy(
    __name__,
    {
        "BatchResult": "run",
        "PredictConfig": "config",
        "Predictor": "predictor",
        "Segmentation": "segmentation",
        "Uncertainty": "uncertainty",
        "adapt": "adapter",
        "monte_carlo": "sampling",
        "open_predictor": "opening",
        "predict_batch": "run",
        "shift_and_stitch": "stitching",
    },
)
