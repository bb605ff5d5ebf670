"""Temperature scaling: the one number that fits a network's certainty to how often it is right.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), Sec. 4.2: T minimises the negative
log-likelihood of held-out labels under softmax(z / T). In 1 / T that is a convex function, so a
bracketed Newton iteration finds its only minimum.

Which pixels: all images have the same number, drawn evenly from those that are not void by a
generator that is seeded with (seed, index of the image). Their probabilities are all that is kept;
log p is z less a constant, which a softmax does not see.

Its worth is judged on images that it was not fitted on: the first half of them with the temperature
of the second half, and the other way round. Not every other image: in a film it is nearly the same.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError
from atrous.evaluation.bootstrap import intervals
from atrous.evaluation.calibration import BINS, confidence_bins, expected_calibration_error
from atrous.evaluation.loop import Progress, pairs_of, pixels_of, scored_classes
from atrous.inference.predictor import Predictor
from atrous.inference.temperature import HIGHEST, LOWEST
from atrous.inference.white import white_doubt

__all__ = ["Calibration", "calibrate", "fit_temperature", "sample_pixels"]

PIXELS = 200_000
"""At most so many in all."""

NUMBERS = 2**24
"""At most so many probabilities: with 150 classes 111 848 pixels, 64 MB."""

CHUNK = 2**14
"""Pixels whose float64 copies are held at once."""

Floats = NDArray[np.float64]
Sample = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Log-probabilities (n, K) and labels (n,)."""


@dataclass(frozen=True)
class Calibration:
    """What calibrating a model found.

    Attributes:
        temperature: Of all pixels, in `LOWEST`..`HIGHEST`.
        error: Expected calibration error without and with a temperature.
        likelihood: Mean negative log-likelihood in nats without and with one. Both pairs: each
            half of the images with the temperature of the other half; of one image, its own.
        gain: 95 % interval over images of how much the negative log-likelihood falls; (NaN, NaN)
            for fewer than two images.
        pixels: How many were looked at.
        images: Of how many images.
    """

    temperature: float
    error: tuple[float, float]
    likelihood: tuple[float, float]
    gain: tuple[float, float]
    pixels: int
    images: int

    @property
    def helps(self) -> bool:
        """Return whether other images become more likely, beyond what chance explains."""
        return self.gain[0] > 0

    @property
    def is_at_bound(self) -> bool:
        """Return whether the best temperature lies beyond what is allowed."""
        return self.temperature in (LOWEST, HIGHEST)

    def to_json(self) -> dict[str, object]:
        """Return what the model folder keeps."""
        return {
            "temperature": self.temperature,
            "expected_calibration_error": dict(zip(("before", "after"), self.error, strict=True)),
            "negative_log_likelihood": {
                **dict(zip(("before", "after"), self.likelihood, strict=True)),
                "gain_interval_95": [None if math.isnan(bound) else bound for bound in self.gain],
            },
            "pixels": self.pixels,
            "images": self.images,
        }


def calibrate(
    predictor: Predictor,
    spec: DataSpec,
    split: str = "val",
    *,
    images: int = 500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a temperature on a split; the memory is that of `NUMBERS`, however large the split is.

    Args:
        predictor: Its own temperature is left out.
        spec: Data set with the predictor's classes.
        split: Which part of it; one that the network was not trained on.
        images: At most so many, evenly spread.
        seed: Decides which pixels.
        progress: Told at the start and after each image.

    Raises:
        InputError: Unknown or empty split, other classes, an image that cannot be read, or nothing
            but void.
    """
    if doubt := white_doubt(predictor.model.normalization, spec.white):
        logging.getLogger(__name__).warning(doubt)
    pairs = pairs_of(spec, split)
    classes = len(scored_classes(spec, predictor.model.label_set))
    plain = predictor.without_temperature()
    chosen = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(images, len(pairs))).astype(int)]
    count = max(1, min(PIXELS, NUMBERS // classes) // len(chosen))
    samples = []
    if progress is not None:
        progress(0, len(chosen))
    for index, pair in enumerate(chosen):
        rng = np.random.default_rng([seed, index])
        samples.append(_sample(plain, spec, pair, count, rng))
        if progress is not None:
            progress(index + 1, len(chosen))
    if not sum(len(labels) for _, labels in samples):
        raise InputError(f"split {split!r} of {spec.root} holds nothing but void; label some of it")
    return _conclude(samples)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the T that makes `labels` most likely under softmax(logits / T).

    Args:
        logits: (n, K), or log-probabilities.
        labels: (n,) classes.

    Returns:
        A number in `LOWEST`..`HIGHEST`; 1 where every T is as good, as with one class.
    """
    low, high = 1 / HIGHEST, 1 / LOWEST
    falls, rises = _slope(logits, labels, low)[0] < 0, _slope(logits, labels, high)[0] > 0
    if not falls and not rises:
        return 1.0
    if not falls or not rises:
        return HIGHEST if rises else LOWEST
    inverse = 1.0
    for _ in range(60):  # about six are needed
        slope, bend = _slope(logits, labels, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / bend if bend > 0 else low
        following = step if low < step < high else np.sqrt(low * high)
        if abs(following - inverse) <= 1e-9 * inverse:
            break
        inverse = float(following)
    return float(1 / inverse)


def sample_pixels(
    labels: NDArray[np.uint8], count: int, rng: np.random.Generator, ignore_index: int
) -> NDArray[np.int64]:
    """Return up to `count` different places (n, 2), row and column, that are not void.

    Of a large image 8 times as many places are drawn and those on void dropped, so that one which
    is nearly all void gives fewer; nothing here is as large as the image.
    """
    flat = labels.reshape(-1)
    many = flat.size > 8 * count
    places = rng.integers(0, flat.size, 8 * count) if many else rng.permutation(flat.size)
    places = places[flat[places] != ignore_index]
    _, first = np.unique(places, return_index=True)
    kept = places[np.sort(first)][:count]
    return np.stack(np.unravel_index(kept, labels.shape), 1)


def _sample(
    predictor: Predictor, spec: DataSpec, pair: Pair, count: int, rng: np.random.Generator
) -> Sample:
    """Return what one image adds."""
    labels = spec.read_labels(pair)
    points = sample_pixels(labels, count, rng, spec.label_set.ignore_index)
    if not len(points):
        return np.empty((0, len(predictor.model.label_set)), np.float32), np.empty(0, np.int64)
    pixels = pixels_of(predictor, spec, pair)
    if pixels.shape[:2] != labels.shape:
        raise InputError(
            f"{pair.mask} is {labels.shape[1]}x{labels.shape[0]}, its image "
            f"{pixels.shape[1]}x{pixels.shape[0]}; give both one size, or leave the pair out: "
            "--skip-bad"
        )
    try:
        found = predictor.at(pixels, points)
    except InputError as error:
        raise InputError(f"{pair.image}: {error}") from error
    chosen = labels[points[:, 0], points[:, 1]].astype(np.int64)
    return np.log(np.maximum(found, np.finfo(np.float32).tiny)), chosen


def _conclude(samples: list[Sample]) -> Calibration:
    """Fit on everything, and judge each half of the images with the other half's temperature."""
    shown = [sample for sample in samples if len(sample[1])]
    middle = len(shown) // 2
    halves = [half for half in (shown[:middle], shown[middle:]) if half]
    fitted = [fit_temperature(*_joined(half)) for half in halves[::-1]]  # of one image, its own
    used = [temperature for half, temperature in zip(halves, fitted, strict=True) for _ in half]
    judged = [
        [_judge(*sample, each) for sample, each in zip(shown, temperatures, strict=True)]
        for temperatures in ([1.0] * len(shown), used)
    ]
    errors = [
        float(expected_calibration_error(np.sum([bins for bins, _ in side], axis=0)))
        for side in judged
    ]
    losses = np.array([[loss for _, loss in side] for side in judged])  # (2, images)
    pixels = np.array([len(labels) for _, labels in shown])
    gains = np.stack([losses[0] - losses[1], pixels], 1)
    low, high = intervals(gains, lambda sums: sums[:, 0] / sums[:, 1])
    before, after = losses.sum(1) / pixels.sum()
    return Calibration(
        fit_temperature(*_joined(shown)),
        (errors[0], errors[1]),
        (float(before), float(after)),
        (float(low), float(high)),
        int(pixels.sum()),
        len(shown),
    )


def _joined(samples: list[Sample]) -> Sample:
    logits, labels = zip(*samples, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def _judge(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float
) -> tuple[Floats, float]:
    """Return the sums of the calibration error, and of the negative log-likelihood."""
    bins, loss = np.zeros((3, BINS)), 0.0
    for scaled, shares, truth in _softmax(logits, labels, 1 / temperature):
        confidence, predictions = shares.max(1), shares.argmax(1)
        bins += confidence_bins(confidence.astype(np.float32), predictions, truth)
        logs = np.take_along_axis(scaled, truth[:, None], 1)[:, 0]
        loss -= float((logs - np.log(np.exp(scaled).sum(1))).sum())
    return bins, loss


def _slope(
    logits: NDArray[np.float32], labels: NDArray[np.int64], inverse: float
) -> tuple[float, float]:
    """Return first and second derivative of the negative log-likelihood in 1 / T, per pixel.

    They are the mean of E[z] - z_y and of Var[z] under softmax(z / T). What is smaller than its
    rounding is 0.
    """
    slope = bend = 0.0
    for scaled, shares, truth in _softmax(logits, labels, inverse):
        z = scaled / inverse
        mean = (shares * z).sum(1)
        slope += float((mean - np.take_along_axis(z, truth[:, None], 1)[:, 0]).sum())
        bend += float((shares * (z - mean[:, None]) ** 2).sum())
    count = max(len(labels), 1)
    return (slope / count if abs(slope) > 1e-12 * count else 0.0), bend / count


def _softmax(
    logits: NDArray[np.float32], labels: NDArray[np.int64], inverse: float
) -> Iterator[tuple[Floats, Floats, NDArray[np.int64]]]:
    """Yield z / T less its maximum, its softmax and the labels, a chunk of pixels at a time."""
    for start in range(0, len(labels), CHUNK):
        z = logits[start : start + CHUNK].astype(np.float64)
        scaled = (z - z.max(1, keepdims=True)) * inverse
        shares = np.exp(scaled)
        yield scaled, shares / shares.sum(1, keepdims=True), labels[start : start + CHUNK]
