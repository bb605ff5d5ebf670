"""The networks, one file per paper; `MODELS` is the table of contents."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.models.build import (
        MODELS,
        ModelEntry,
        build_model,
        default_encoder,
        model_options,
    )
    from atrous.models.segmentation_model import ModelSpec, Option, Scores, SegmentationModel

__all__ = [
    "MODELS",
    "ModelEntry",
    "ModelSpec",
    "Option",
    "Scores",
    "SegmentationModel",
    "build_model",
    "default_encoder",
    "model_options",
]

__getattr__ = lazy(
    __name__,
    {
        "MODELS": "build",
        "ModelEntry": "build",
        "ModelSpec": "segmentation_model",
        "Option": "segmentation_model",
        "Scores": "segmentation_model",
        "SegmentationModel": "segmentation_model",
        "build_model": "build",
        "default_encoder": "build",
        "model_options": "build",
    },
)
