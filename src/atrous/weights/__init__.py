"""The one room that touches disk and network for a network's sake: create, fill, save, load."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.weights.blueprint import gives_auxiliary_scores
    from atrous.weights.create import check_model, create_model
    from atrous.weights.encoder_weights import load_encoder_weights
    from atrous.weights.model_config import ModelConfig
    from atrous.weights.model_folder import (
        load,
        read_model_config,
        save,
        store_calibration,
        store_crf,
    )
    from atrous.weights.origin import weights_origin
    from atrous.weights.sources import WeightsUnreachable
    from atrous.weights.start import check_start, class_tensors, find_start, start_from

__all__ = [
    "ModelConfig",
    "WeightsUnreachable",
    "check_model",
    "check_start",
    "class_tensors",
    "create_model",
    "find_start",
    "gives_auxiliary_scores",
    "load",
    "load_encoder_weights",
    "read_model_config",
    "save",
    "start_from",
    "store_calibration",
    "store_crf",
    "weights_origin",
]

__getattr__ = lazy(
    __name__,
    {
        "ModelConfig": "model_config",
        "WeightsUnreachable": "sources",
        "check_model": "create",
        "check_start": "start",
        "class_tensors": "start",
        "create_model": "create",
        "find_start": "start",
        "gives_auxiliary_scores": "blueprint",
        "load": "model_folder",
        "load_encoder_weights": "encoder_weights",
        "read_model_config": "model_folder",
        "save": "model_folder",
        "start_from": "start",
        "store_calibration": "model_folder",
        "store_crf": "model_folder",
        "weights_origin": "origin",
    },
)
