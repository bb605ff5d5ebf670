"""The score of one model, the same way for all: `evaluate`, then what needs more than a matrix."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.data import DataSpec, Pair
from atrous.evaluation import Evaluation, boundary_f1, evaluate
from atrous.evaluation.calibration import BINS, confidence_bins
from atrous.evaluation.loop import pairs_of, pixels_of, scored_classes
from atrous.inference import Predictor
from atrous.inference.crf_settings import open_crf
from atrous.models import SegmentationModel
from atrous.weights import load

__all__ = ["Score", "opened", "predictor_of", "score_model", "score_one"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How good one model is.

    Attributes:
        evaluation: Of `atrous.evaluation.evaluate`.
        boundary: (N,) mean BF score of each image over its classes; NaN where all is void.
        confidence: (N, 3, bins) what each image adds to the calibration error.
    """

    evaluation: Evaluation
    boundary: Floats
    confidence: Floats


def predictor_of(model: SegmentationModel, config: CompareConfig) -> Predictor:
    """Return the predictor that every model of the comparison is scored with."""
    crf = None if config.crf is None else open_crf(config.crf, model)
    return Predictor(model, crf=crf, device=config.device)


def opened(entry: Entry, config: CompareConfig) -> Predictor:
    """Return the predictor of a finished model."""
    assert entry.model is not None
    return predictor_of(load(entry.model), config)


def score_model(
    predictor: Predictor,
    spec: DataSpec,
    split: str,
    *,
    evaluation: Evaluation | None = None,
    tell: Callable[[float], None],
) -> Score:
    """Score a model on a split.

    Args:
        predictor: The model as it would be used.
        spec: The data.
        split: Which part of them.
        evaluation: Of this very predictor on this split, where it has just been made.
        tell: Is told which fraction is done.
    """
    first = 0.0 if evaluation else 0.5
    evaluation = evaluation or evaluate(
        predictor, spec, split, progress=lambda done, total: tell(0.5 * done / total)
    )
    pairs = pairs_of(spec, split)
    boundary, confidence = np.empty(len(pairs)), np.empty((len(pairs), 3, BINS))
    for number, pair in enumerate(pairs):
        boundary[number], confidence[number] = score_one(predictor, spec, pair)
        tell(first + (1 - first) * (number + 1) / len(pairs))
    return Score(evaluation, boundary, confidence)


def score_one(predictor: Predictor, spec: DataSpec, pair: Pair) -> tuple[float, Floats]:
    """Return the BF score of one image, over the classes of its labels, and (3, bins) confidences.

    Both are read from the probabilities, so that one prediction does; their largest entry is the
    label that `evaluate` scores, up to the last bit of a tie.
    """
    classes = scored_classes(spec, predictor.model.label_set)
    labels, void = spec.read_labels(pair), classes.ignore_index
    found = predictor(pixels_of(predictor, spec, pair), probabilities=True)
    assert found.probabilities is not None
    scores = boundary_f1(found.labels, labels, len(classes), ignore_index=void)
    known = scores[~np.isnan(scores)]
    confidence = found.probabilities.max(0)
    bins = confidence_bins(confidence, found.labels, labels, ignore_index=void)
    return float(known.mean()) if known.size else float("nan"), bins
