"""What `atrous evaluate` does: score a model or a folder of masks."""

import logging
from collections.abc import Callable

from atrous.data import DataSpec
from atrous.evaluation.config import EvaluateConfig
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.loop import evaluate, pairs_of
from atrous.evaluation.predictions import evaluate_predictions
from atrous.files import write_json

__all__ = ["evaluate_config"]


def evaluate_config(
    config: EvaluateConfig,
    spec: DataSpec,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score what `config` names; write the result to `config.out` if it is given.

    Args:
        config: The command's configuration.
        spec: What `open_data` made of `config.data`.
        progress: Told at the start and after each image.

    Raises:
        InputError: Split, model or masks that cannot be used.
    """
    pairs_of(spec, config.split)  # a misspelt split is told before torch is loaded
    if config.predictions is not None:
        result = evaluate_predictions(config.predictions, spec, config.split, progress=progress)
    else:
        from atrous.inference import open_predictor
        from atrous.inference.white import white_doubt

        assert config.model is not None
        predictor = open_predictor(config.model, config)
        if doubt := white_doubt(predictor.model.normalization, spec.white):
            logging.getLogger(__name__).warning(doubt)
        result = evaluate(predictor, spec, config.split, progress=progress)
    if config.out is not None:
        write_json(config.out, result.to_json())
    return result
