"""Prediction plus a confusion matrix: every image of a split through the predictor that ships."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError, listed, unknown
from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.image_score import ImageScore
from atrous.evaluation.subject import Prediction, Subject, data_stamp
from atrous.labels import VOID, LabelSet

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

__all__ = [
    "Progress",
    "accumulate",
    "common_classes",
    "evaluate",
    "pairs_of",
    "pixels_of",
    "scored_classes",
    "subject_of",
]

Progress = Callable[[int, int], None]
"""Called at the start and after each image with (images done, images in all)."""


def evaluate(
    predictor: "Predictor",
    spec: DataSpec,
    split: str = "val",
    *,
    details: bool = False,
    excluded: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Score `predictor` on one split, at the resolution of the labels.

    The predictor may hold a model in training; it is left as it was. The same weights give the
    same matrix whether they are live, saved or loaded.

    Args:
        predictor: Model and settings to measure.
        spec: Data set; its classes must be the model's, in the same order.
        split: Which part of it.
        details: Also take boundary scores, calibration and object sizes.
        excluded: Names of classes that the means leave out.
        progress: Told at the start and after each image.

    Raises:
        InputError: Unknown or empty split, other classes, an image that cannot be read.
    """
    pairs_of(spec, split)
    subject = subject_of(predictor, spec, split, confidence=details)
    return accumulate(subject, spec, split, details=details, excluded=excluded, progress=progress)


def subject_of(
    predictor: "Predictor", spec: DataSpec, split: str, *, confidence: bool = False
) -> Subject:
    """Return a predictor as something to score; with `confidence`, its calibration too.

    Raises:
        InputError: Other classes than those of the data.
    """
    label_set = scored_classes(spec, predictor.model.label_set)
    keep = {"confidence": True} if confidence else {}
    is_tempered = confidence and predictor.temperature != 1
    plain = predictor.without_temperature() if is_tempered else None

    def predict(pair: Pair, _: np.ndarray) -> Prediction:
        pixels = pixels_of(predictor, spec, pair)
        try:
            found = predictor(pixels, **keep)
            untempered = None if plain is None else plain(pixels, **keep).confidence
        except InputError as error:
            raise InputError(f"{pair.image}: {error}") from error
        return Prediction(found.labels, found.confidence if confidence else None, untempered)

    stamp = data_stamp(spec, split) | {"align_corners": predictor.model.align_corners}
    if predictor.temperature != 1:
        fitted = predictor.model.calibration or {}
        here = all(fitted.get(key) == stamp[key] for key in ("split", "data_hash"))
        stamp["temperature_fitted_here"] = here
    return Subject(predict, label_set, stamp | predictor.protocol())


def accumulate(
    subject: Subject,
    spec: DataSpec,
    split: str,
    *,
    details: bool = False,
    excluded: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Sum the matrices of a split; `subject` gives the label map of each image.

    Raises:
        InputError: Unknown or empty split, an unknown class, a map that cannot be scored.
    """
    pairs, label_set = pairs_of(spec, split), subject.label_set
    classes = len(label_set)
    total = np.zeros((classes, classes), np.int64)
    nothing = Evaluation(total, label_set, excluded=tuple(excluded))  # refuses unknown names
    images = []
    if progress is not None:
        progress(0, len(pairs))
    for index, pair in enumerate(pairs):
        labels = spec.read_labels(pair)
        prediction = subject.predict(pair, labels)
        try:
            matrix = confusion_matrix(prediction.labels, labels, classes, label_set.ignore_index)
        except InputError as error:
            raise InputError(f"{pair.mask}: {error}") from error
        total += matrix
        more = ImageDetails.of(prediction, labels, matrix) if details else None
        images.append(ImageScore.of(pair.image, matrix, more, nothing.kept))
        if progress is not None:
            progress(index + 1, len(pairs))
    return Evaluation(total, label_set, tuple(images), dict(subject.protocol), nothing.excluded)


def pairs_of(spec: DataSpec, split: str) -> tuple[Pair, ...]:
    """Return the image-mask pairs of a split.

    Raises:
        InputError: No such split, or nothing in it.
    """
    if split not in spec.splits:
        raise unknown("split", split, spec.splits)
    if not spec.splits[split]:
        raise InputError(f"split {split!r} of {spec.root} holds no usable pair; see its findings")
    return spec.splits[split]


def pixels_of(predictor: "Predictor", spec: DataSpec, pair: Pair) -> np.ndarray:
    """Return the image (H, W, C) of a pair as the predictor needs it."""
    if spec.channels == predictor.channels:
        return spec.read_image(pair)
    return predictor.read(pair.image)  # grey to colour and back, or it says that it cannot


def scored_classes(spec: DataSpec, model: LabelSet) -> LabelSet:
    """Return the classes to score a model with on these data.

    Raises:
        InputError: They differ, or masks of 0 and 255 leave open which of the model's they mean.
    """
    label_set = common_classes(spec.label_set, model)
    _check_numbered(spec, label_set)
    return label_set


def common_classes(data: LabelSet, model: LabelSet) -> LabelSet:
    """Return the classes to score: names and order must be the same on both sides.

    Data or a model without names (class_0, class_1, ...) make no claim: the other side's hold.

    Raises:
        InputError: They differ; the message says where.
    """
    if data.names == model.names or (_is_unnamed(data) and len(data) <= len(model)):
        return model
    if _is_unnamed(model) and len(data) == len(model):
        return data
    if len(data) != len(model):
        told = [f"the model has {len(model)} classes, the data {len(data)}"]
        for where, these, others in (("data", data, model), ("model", model, data)):
            only = [name for name in these.names if name not in others.names]
            told += [f"only in the {where}: {listed(only)}"] if only else []
        raise InputError("; ".join([*told, "evaluate the model on data with its own classes"]))
    index = next(i for i in range(len(data)) if data.names[i] != model.names[i])
    raise InputError(
        f"class {index} is {data.names[index]!r} in the data, but {model.names[index]!r} in the "
        "model; give the classes of the data the model's names and order"
    )


def _check_numbered(spec: DataSpec, model: LabelSet) -> None:
    """Doubt labels without names that are fewer than the model's classes.

    Raises:
        InputError: They come from masks of 0 and 255, whose 255 may be any class, or void.
    """
    count = len(spec.label_set)
    if count == len(model) or not _is_unnamed(spec.label_set):
        return
    if spec.coding.indices.get(VOID, VOID) != VOID:
        raise InputError(
            f"{spec.root} has masks of 0 and 255, which is {count} classes, but the model has "
            f"{len(model)}; write its names and label_map: {{255: NAME}} (or ignore) in a data.yaml"
        )
    logging.getLogger(__name__).warning(
        "the labels hold only the numbers 0..%d, without names, and are taken for the first %d of "
        "the model's %d classes (%s); write its names in a data.yaml to be sure",
        count - 1,
        count,
        len(model),
        ", ".join([*model.names[: min(count, 3)], *(["..."] if count > 3 else [])]),
    )


def _is_unnamed(labels: LabelSet) -> bool:
    return labels.names == LabelSet.numbered(len(labels)).names
