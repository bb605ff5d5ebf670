"""Scoring a folder of finished masks, whatever tool wrote them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.masks import read_mask
from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.loop import Progress, accumulate, pairs_of
from atrous.evaluation.mask_matching import match_masks
from atrous.evaluation.subject import Prediction, Subject, data_stamp

__all__ = ["evaluate_predictions", "stored_masks"]


def evaluate_predictions(
    folder: Path,
    spec: DataSpec,
    split: str = "val",
    *,
    details: bool = False,
    excluded: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Score the masks in `folder` against one split of a data set.

    Each image of the split needs exactly one mask, at the image's path or of its stem (see
    `match_masks`): a PNG (or TIFF, BMP) of class indices with the size of the labels. Every pixel
    that is not void in the labels needs a class.

    Args:
        folder: Predicted masks, in any sub-folders.
        spec: Data set with the true labels.
        split: Which part of it.
        details: Also take boundary scores and object sizes.
        excluded: Names of classes that the means leave out.
        progress: Told at the start and after each image.

    Raises:
        InputError: Missing, surplus or ambiguous masks, another size, a value that is no class.
    """
    subject = stored_masks(folder, spec, split)
    return accumulate(subject, spec, split, details=details, excluded=excluded, progress=progress)


def stored_masks(folder: Path, spec: DataSpec, split: str) -> Subject:
    """Return a folder of finished masks as something to score.

    Raises:
        InputError: Missing, surplus or ambiguous masks.
    """
    found = match_masks(folder, [pair.image for pair in pairs_of(spec, split)])

    def predict(pair: Pair, labels: np.ndarray) -> Prediction:
        path = found[pair.image]
        prediction = _read(path)
        _check_size(path, prediction.shape, labels.shape)
        _check_values(path, prediction[labels != spec.label_set.ignore_index], spec)
        return Prediction(prediction)

    return Subject(predict, spec.label_set, {**data_stamp(spec, split), "predictions": folder.name})


def _read(path: Path) -> np.ndarray:
    """Return the raw numbers of an index or palette image, (H, W), read as the labels are."""
    raw = read_mask(path)
    if raw.coloured:
        raise InputError(
            f"{path} is a picture in colour, but a predicted mask holds one class index per "
            "pixel; write it as greyscale or palette PNG"
        )
    return raw.values


def _check_size(path: Path, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if given != wanted:
        raise InputError(
            f"{path} is {given[1]}x{given[0]}, but its labels are {wanted[1]}x{wanted[0]}; "
            "resize the scores (never the mask) to the labels' size before the argmax"
        )


def _check_values(path: Path, values: np.ndarray, spec: DataSpec) -> None:
    wrong = values[values >= len(spec.label_set)]
    if wrong.size:
        value = int(wrong.min())
        hint = "predict a class there" if value == spec.label_set.ignore_index else "map it"
        raise InputError(
            f"{path} holds {value} ({np.count_nonzero(wrong == value)} pixels), but the classes "
            f"are 0..{len(spec.label_set) - 1}; {hint}"
        )
