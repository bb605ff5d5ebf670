"""All models at once: their speed in turn, and the same images through each of them.

Speeds that are measured minutes apart compare the machine with itself. Here each round runs every
model once, so that what disturbs the machine disturbs them all.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from atrous.compare.apart import Tell
from atrous.compare.cell import Cell
from atrous.compare.config import CompareConfig
from atrous.compare.scoring import predictor_of
from atrous.data import DataSpec, Pair, open_data
from atrous.evaluation.loop import pairs_of, pixels_of, scored_classes
from atrous.inference import Predictor
from atrous.labels import LabelSet
from atrous.reports.pictures import view
from atrous.reports.thumbnails import Strip, strip
from atrous.weights import load

__all__ = [
    "Latency",
    "Together",
    "disagreement",
    "measure_latency",
    "most_uneven",
    "run_together",
]

IMAGES, MOST_ROUNDS, MOST_SECONDS = 5, 20, 60.0
"""Images that are timed, rounds over them, and the time after which no further round begins."""

SHOWN, LOOKED_AT = 5, 24
"""Images that are shown, and among how many they are looked for."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one prediction, pixels to labels.

    Attributes:
        median: Over all images and rounds.
        low: First quartile.
        high: Third quartile.
        repeats: How many predictions were timed.
    """

    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class Together:
    """What only all models together can tell.

    Attributes:
        latency: Name -> milliseconds.
        strips: Images with the answers of all models, those most disagreed on first.
        failure: Why there is neither; "" where there are both.
    """

    latency: Mapping[str, Latency]
    strips: Sequence[Strip]
    failure: str = ""

    @property
    def lack(self) -> str:
        """Return a line on what is missing, "" if nothing is."""
        if not self.failure:
            return ""
        return f"no speeds and no images side by side: {self.failure}; the same command tries again"


def run_together(config: CompareConfig, cells: Sequence[Cell], tell: Tell) -> Together:
    """Time the models and show where they disagree (in a process of its own: see `apart`).

    Args:
        config: Of the comparison.
        cells: One for each model.
        tell: Is told how far it has come.
    """
    tell("loading all models", 0.0)
    spec = open_data(config.data)
    predictors = {cell.name: predictor_of(load(cell.model), config) for cell in cells}
    pairs = pairs_of(spec, config.split)
    some = [pairs[round(i)] for i in np.linspace(0, len(pairs) - 1, min(IMAGES, len(pairs)))]
    latency = measure_latency(predictors, spec, some, tell)
    names = scored_classes(spec, next(iter(predictors.values())).model.label_set)
    strips = _strips(predictors, spec, [pairs[i] for i in most_uneven(cells)], names, tell)
    return Together(latency, strips)


def measure_latency(
    predictors: Mapping[str, Predictor], spec: DataSpec, pairs: Sequence[Pair], tell: Tell
) -> dict[str, Latency]:
    """Return how long each predictor takes for an image that has been read.

    The first round pays for what libraries set up and is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in predictors}
    begin = time.perf_counter()
    for number in range(MOST_ROUNDS + 1):
        for pair in pairs:
            for name, predictor in predictors.items():
                pixels = pixels_of(predictor, spec, pair)
                seconds = _timed(predictor, pixels)
                if number:
                    taken[name].append(1000 * seconds)
        tell("timing", 0.6 * (number + 1) / (MOST_ROUNDS + 1))
        if number and time.perf_counter() - begin > MOST_SECONDS:
            break
    found = {}
    for name, each in taken.items():
        low, median, high = np.quantile(each, [0.25, 0.5, 0.75]).tolist()
        found[name] = Latency(median, low, high, len(each))
    return found


def most_uneven(cells: Sequence[Cell]) -> list[int]:
    """Return the images of which the models find most unequal shares, the most unequal first.

    Only for so many images can all models be asked again.
    """
    shares = np.stack([_found(cell) for cell in cells])  # (M, N)
    spread = shares.max(0) - shares.min(0)
    return [int(index) for index in np.argsort(-spread, kind="stable")[:LOOKED_AT]]


def disagreement(answers: Sequence[NDArray[np.uint8]], labels: np.ndarray, void: int) -> float:
    """Return the share of the scored pixels that not all answers give the same class.

    Example:
        >>> a, b = np.array([[0, 1, 1, 0]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)
        >>> disagreement([a, b], np.array([[0, 1, 1, 255]], np.uint8), 255)  # one of three
        0.3333333333333333
    """
    scored = labels != void
    differs = np.zeros(labels.shape, bool)
    for answer in answers[1:]:
        differs |= answer != answers[0]
    return float(differs[scored].mean()) if scored.any() else 0.0


def _strips(
    predictors: Mapping[str, Predictor],
    spec: DataSpec,
    pairs: Sequence[Pair],
    label_set: LabelSet,
    tell: Tell,
) -> list[Strip]:
    """Return the images most disagreed on, with every model's answer."""
    found: list[tuple[float, Strip]] = []
    for number, pair in enumerate(pairs):
        image, labels = spec.read_image(pair), spec.read_labels(pair)
        answers = [
            predictor(pixels_of(predictor, spec, pair)).labels for predictor in predictors.values()
        ]
        share = disagreement(answers, labels, label_set.ignore_index)
        views = [view(image, labels, answer, label_set.ignore_index) for answer in answers]
        shown = strip(pair.image.name, share, list(predictors), views, label_set)
        found.append((share, shown))
        tell("looking for disagreements", 0.6 + 0.4 * (number + 1) / len(pairs))
    found.sort(key=lambda entry: -entry[0])
    return [shown for _, shown in found[:SHOWN]]


def _timed(predictor: Predictor, pixels: np.ndarray) -> float:
    begin = time.perf_counter()
    predictor(pixels)
    if predictor.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _found(cell: Cell) -> NDArray[np.float64]:
    """Return the pixel accuracy in each image."""
    hits, truth, _ = cell.counts
    share: NDArray[np.float64] = hits.sum(1) / np.maximum(truth.sum(1), 1)
    return share
