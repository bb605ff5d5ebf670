"""Scoring a folder of finished masks, whatever tool wrote them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.spec import DataSpec, Pair
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.loop import Progress, accumulate, pairs_of
from atrous.evaluation.mask_matching import match_masks
from atrous.evaluation.mask_numbers import check_masks
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
    `match_masks`): a PNG (or TIFF, BMP) with the size of the labels, of class indices, or, where
    those are not what the masks hold, of the numbers or colours that the labels are written in.
    Every pixel that is not void in the labels needs a class.

    Args:
        folder: Predicted masks, in any sub-folders.
        spec: Data set with the true labels.
        split: Which part of it.
        details: Also take boundary scores and object sizes.
        excluded: Names of classes that the means leave out.
        progress: Told at the start and after each image.

    Raises:
        InputError: Missing, surplus or ambiguous masks; another size, a value that is no class,
            damage: how many masks have such faults, and the first of them.
    """
    subject = stored_masks(folder, spec, split)
    return accumulate(subject, spec, split, details=details, excluded=excluded, progress=progress)


def stored_masks(
    folder: Path, spec: DataSpec, split: str, *, progress: Progress | None = None
) -> Subject:
    """Return a folder of finished masks as something to score; every mask is checked first.

    Raises:
        InputError: As `evaluate_predictions`.
    """
    found = match_masks(folder, [pair.image for pair in pairs_of(spec, split)])
    masks = {pair: found[pair.image] for pair in spec.splits[split]}
    numbers = check_masks(folder, masks, spec, progress)

    def predict(pair: Pair, labels: np.ndarray) -> Prediction:
        return Prediction(numbers.read(masks[pair], labels))

    stamp = {"predictions": folder.name, "coding": numbers.name}
    return Subject(predict, spec.label_set, {**data_stamp(spec, split), **stamp})
