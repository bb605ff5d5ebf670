"""Prediction plus a confusion matrix: every image of a split through the predictor that ships."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError, unknown
from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.evaluation import Evaluation, ImageScore
from atrous.labels import LabelSet

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

__all__ = ["Progress", "accumulate", "check_classes", "evaluate", "pairs_of"]

Progress = Callable[[int, int], None]
"""Called after each image with (images done, images in all)."""


def evaluate(
    predictor: "Predictor",
    spec: DataSpec,
    split: str = "val",
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Score `predictor` on one split, at the resolution of the labels.

    The predictor may hold a model in training; it is left as it was. The same weights give the
    same matrix whether they are live, saved or loaded.

    Args:
        predictor: Model and settings to measure.
        spec: Data set; its classes must be the model's, in the same order.
        split: Which part of it.
        progress: Told after each image.

    Raises:
        InputError: Unknown or empty split, other classes, an image that cannot be read.
    """
    pairs = pairs_of(spec, split)
    check_classes(spec.label_set, predictor.model.label_set)

    def predict(pair: Pair) -> NDArray[np.uint8]:
        if spec.channels == predictor.channels:
            return predictor(spec.read_image(pair)).labels
        return predictor(pair.image).labels  # converts grey to colour and back, or says it cannot

    protocol = {"split": split, "resolution": "labels", **predictor.protocol()}
    return accumulate(predict, spec, pairs, protocol=protocol, progress=progress)


def accumulate(
    predict: Callable[[Pair], np.ndarray],
    spec: DataSpec,
    pairs: tuple[Pair, ...],
    *,
    protocol: Mapping[str, object],
    progress: Progress | None = None,
) -> Evaluation:
    """Sum the matrices of `pairs`; `predict` gives the label map of one of them."""
    classes = len(spec.label_set)
    total = np.zeros((classes, classes), np.int64)
    images = []
    for index, pair in enumerate(pairs):
        labels, prediction = spec.read_labels(pair), predict(pair)
        try:
            matrix = confusion_matrix(prediction, labels, classes, spec.label_set.ignore_index)
        except InputError as error:
            raise InputError(f"{pair.mask}: {error}") from error
        total += matrix
        images.append(ImageScore.of(pair.image, matrix))
        if progress is not None:
            progress(index + 1, len(pairs))
    return Evaluation(total, spec.label_set, tuple(images), dict(protocol))


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


def check_classes(data: LabelSet, model: LabelSet) -> None:
    """Require the model's class names to be those of the data, in the same order.

    Raises:
        InputError: They differ; the message names the first difference.
    """
    if data.names == model.names:
        return
    if len(data) != len(model):
        missing = [name for name in data.names if name not in model.names]
        surplus = [name for name in model.names if name not in data.names]
        raise InputError(
            f"the model has {len(model)} classes, the data {len(data)}"
            + (f"; only in the data: {', '.join(missing[:5])}" if missing else "")
            + (f"; only in the model: {', '.join(surplus[:5])}" if surplus else "")
            + "; evaluate it on data with its own classes, or train on these"
        )
    index, (wanted, had) = next(
        (i, pair)
        for i, pair in enumerate(zip(data.names, model.names, strict=True))
        if pair[0] != pair[1]
    )
    raise InputError(
        f"class {index} is {wanted!r} in the data, but {had!r} in the model; "
        "give the classes of the data the model's names and order"
    )
