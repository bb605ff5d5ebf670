"""How every model of a comparison is scored: the same predictor, the same `evaluate`."""

import dataclasses
import time

from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.data import DataSpec
from atrous.evaluation import evaluate
from atrous.evaluation.loop import pairs_of
from atrous.inference import Predictor
from atrous.inference.crf_settings import open_crf
from atrous.models import SegmentationModel
from atrous.weights import load

__all__ = ["opened", "predictor_of", "scoring_seconds"]


def predictor_of(model: SegmentationModel, config: CompareConfig) -> Predictor:
    """Return a model as it is scored, timed and weighed."""
    crf = None if config.crf is None else open_crf(config.crf, model)
    return Predictor(model, crf=crf, device=config.device)


def opened(entry: Entry, config: CompareConfig) -> Predictor:
    """Return the predictor of a finished model."""
    assert entry.model is not None
    return predictor_of(load(entry.model), config)


def scoring_seconds(predictor: Predictor, spec: DataSpec, split: str) -> float:
    """Forecast how long `evaluate` with all details takes: by one image, the second time."""
    pairs = pairs_of(spec, split)
    one = dataclasses.replace(spec, splits={**spec.splits, split: pairs[:1]})
    evaluate(predictor, one, split, details=True)  # pays for what libraries set up
    begin = time.perf_counter()
    evaluate(predictor, one, split, details=True)
    return len(pairs) * (time.perf_counter() - begin)
