"""The semantic-segmentation lineage as one practical toolkit: train, evaluate, predict.

Every name loads on first use, so that `import atrous` costs a few milliseconds and no torch.
"""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous import evaluation, ops
    from atrous.crf import DenseCRF
    from atrous.errors import InputError
    from atrous.inference import Predictor, Segmentation
    from atrous.labels import LabelSet
    from atrous.models import Scores, SegmentationModel
    from atrous.weights import create_model, load, save

__version__ = "0.1.0"  # the one place: pyproject.toml reads it here

__all__ = [
    "DenseCRF",
    "InputError",
    "LabelSet",
    "Predictor",
    "Scores",
    "Segmentation",
    "SegmentationModel",
    "__version__",
    "create_model",
    "evaluation",
    "load",
    "ops",
    "save",
]

__getattr__ = lazy(
    __name__,
    {
        "DenseCRF": "crf",
        "InputError": "errors",
        "LabelSet": "labels",
        "Predictor": "inference",
        "Scores": "models",
        "Segmentation": "inference",
        "SegmentationModel": "models",
        "create_model": "weights",
        "evaluation": "",
        "load": "weights",
        "ops": "",
        "save": "weights",
    },
)
