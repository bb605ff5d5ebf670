"""What a CRF search looks at again and again: image, truth and unary, on disk, one file each."""

import errno
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrous.crf import DenseCRF
from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError
from atrous.evaluation.boundary import boundary_f1
from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.loop import pixels_of
from atrous.inference.predictor import Predictor
from atrous.inference.segmentation import to_rgb
from atrous.inference.tiling import TILE, WHOLE_PIXELS

__all__ = ["Case", "count", "make_case", "mean_boundary_f1"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One image of a search; nothing of it is in memory but what a reader asks for."""

    path: Path
    """An .npz of image (H, W, 3), labels (H, W), float16 probabilities (K, H, W)."""

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """Return image, labels and probabilities."""
        with np.load(self.path) as held:
            return held["image"], held["labels"], held["probabilities"].astype(np.float32)


def make_case(predictor: Predictor, spec: DataSpec, pair: Pair, path: Path) -> Case:
    """Predict one pair and keep what the search needs.

    Of an image above 4 megapixels the window in the middle is taken: `--crf` works in windows of
    that size there.

    Raises:
        InputError: The image cannot be used, or the temporary folder is full.
    """
    pixels, labels = pixels_of(predictor, spec, pair), spec.read_labels(pair)
    if labels.shape != pixels.shape[:2]:
        raise InputError(
            f"{pair.mask} is {labels.shape[1]}x{labels.shape[0]}, its image "
            f"{pixels.shape[1]}x{pixels.shape[0]}; give both one size, or leave the pair out: "
            "--skip-bad"
        )
    if labels.size > WHOLE_PIXELS:
        middle = tuple(
            slice(max(0, (n - TILE) // 2), max(0, (n - TILE) // 2) + TILE) for n in labels.shape
        )
        pixels, labels = pixels[middle], labels[middle]
    maps = predictor(pixels, probabilities=True).probabilities
    assert maps is not None
    try:
        np.savez(path, image=to_rgb(pixels), labels=labels, probabilities=maps.astype(np.float16))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{path.parent} is full after {path.stem} images; search on fewer (--images), or "
            "name a larger temporary folder with TMPDIR"
        ) from error
    return Case(path)


def count(prediction: NDArray[np.uint8], labels: NDArray[np.uint8], num_classes: int) -> Counts:
    """Return (3, K): pixels of each class that are right, that are true, that are predicted."""
    matrix = confusion_matrix(prediction, labels, num_classes)
    return np.stack([np.diagonal(matrix), matrix.sum(1), matrix.sum(0)])


def mean_boundary_f1(case: Case, num_classes: int, crf: DenseCRF | None) -> float:
    """Return an image's BF score, over its classes; NaN where all is void."""
    image, labels, maps = case.read()
    prediction = maps.argmax(0).astype(np.uint8) if crf is None else crf.map(image, maps)
    scores = boundary_f1(prediction, labels, num_classes)
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if known.size else float("nan")
