"""What `atrous evaluate` does: open the data, score a model or a folder of masks."""

from collections.abc import Callable

from atrous.data import DataSpec, open_data
from atrous.evaluation.config import EvaluateConfig
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.loop import evaluate, pairs_of
from atrous.evaluation.predictions import evaluate_predictions
from atrous.files import write_json

__all__ = ["evaluate_config"]


def evaluate_config(
    config: EvaluateConfig, *, progress: Callable[[int, int], None] | None = None
) -> tuple[Evaluation, DataSpec]:
    """Score what `config` names; write the result to `config.out` if it is given.

    Raises:
        InputError: Data, split, model or masks that cannot be used.
    """
    spec = open_data(config.data)
    pairs_of(spec, config.split)  # a misspelt split is told before torch is loaded
    if config.predictions is not None:
        result = evaluate_predictions(config.predictions, spec, config.split, progress=progress)
    else:
        from atrous.inference import Predictor
        from atrous.weights import load

        assert config.model is not None
        predictor = Predictor(
            load(config.model),
            scales=config.scales,
            flip=config.flip,
            tile=config.tile,
            device=config.device,
            precision=config.precision,
        )
        result = evaluate(predictor, spec, config.split, progress=progress)
    if config.out is not None:
        write_json(config.out, result.to_json())
    return result, spec
