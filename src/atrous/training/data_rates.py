"""How fast training data come: each stage between the files and the network, one after the other.

Every stage is timed alone on the same samples, by one thread, as it runs in a loader process; then
the whole loader as a run has it, prefetching and passing batches on included. With a cache its
first pass decodes and later ones do not, so they are timed apart.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from atrous.data import DataSpec, JointTransform
from atrous.data.colour_jitter import recolour
from atrous.data.elastic import bent, interpolated
from atrous.data.transforms import Draw, fill_values, seen_window
from atrous.data.warp import smooth_before_warp, warp_image, warp_labels
from atrous.ops import Normalization, normalise
from atrous.training.loader import batches
from atrous.training.resident import ResidentSamples
from atrous.training.samples import BatchOrder, TrainingSamples, collate, image_tensor

__all__ = ["Bottleneck", "Rate", "bottleneck", "first_pass", "loader_rate", "stage_rates"]

FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Rate:
    """Images a second of one stage.

    Attributes:
        stage: What is done.
        per_core: By one thread.
        together: By all processes that do it at once in a run, if the cores are theirs.
        is_loading: Whether loader processes do it for every image, so that it may hold a run up.
    """

    stage: str
    per_core: float
    together: float
    is_loading: bool = True


@dataclass(frozen=True)
class Bottleneck:
    """The stage that the loader spends most of its time in.

    Attributes:
        stage: Its name.
        share: Of a sample's time, in [0, 1].
    """

    stage: str
    share: float


def stage_rates(
    source: TrainingSamples | ResidentSamples,
    spec: DataSpec,
    normalization: Normalization,
    *,
    batch: int,
    processes: int,
    seconds: float,
    device: str,
    step: Callable[[str], object],
) -> list[Rate]:
    """Time each stage alone.

    Args:
        source: The samples of a run.
        spec: Its data, with the cache that the run would have.
        normalization: The network's.
        batch: Images of a batch.
        processes: Loader processes that the cores can run at once, at least 1.
        seconds: How long each stage is watched.
        device: "cpu" or "cuda", where batches are normalised.
        step: Is told of each stage as it begins.
    """
    if isinstance(source, ResidentSamples):
        stages = _resident_stages(source, spec, batch)
        processes = 1
    else:
        stages = _host_stages(source, spec, batch)
    images = source.batch(range(batch))[0].to(device)
    stages.append(("normalise", lambda: normalise(images, normalization)[0, 0, 0, 0].item(), False))
    rates = []
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        for name, work, is_loading in stages:
            step(name)
            rate = batch / _median_seconds(work, seconds)
            together = rate * processes if is_loading else rate * _threads(threads, device)
            rates.append(Rate(name, rate, together, is_loading))
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)
    return rates


def bottleneck(stages: Sequence[Rate], *, first_pass: bool = False) -> Bottleneck:
    """Return the stage of the loader that takes most of a sample's time.

    Args:
        stages: All of them.
        first_pass: Whether in the pass that fills the cache: it decodes instead of reading that.
    """
    taken = {stage.stage: 1 / stage.per_core for stage in stages if stage.is_loading}
    if first_pass:
        taken.pop("cache read", None)
        taken |= {rate.stage: 1 / rate.per_core for rate in stages if rate.stage == "decode"}
    slowest = max(taken, key=lambda stage: taken[stage])
    return Bottleneck(slowest, taken[slowest] / sum(taken.values()))


def first_pass(
    source: TrainingSamples, *, batch: int, workers: int, seconds: float, device: str
) -> tuple[float, list[list[int]]]:
    """Time the pass that fills the cache, or the beginning of it.

    Must come before anything else that reads the images. The clock starts once every process has
    made one sample, always of the same image.

    Returns:
        Images a second, and the sample numbers of the batches that were made.
    """
    count = len(source.pairs)
    passing = [list(range(n, min(n + batch, count))) for n in range(0, count, batch)]
    order, seen = [[0]] * workers + passing, 0
    begin = time.perf_counter()
    for _, labels in batches(source, order, workers=workers, device=device):
        labels.flatten()[0].item()  # waits for the device
        seen += 1
        if seen == workers:
            begin = time.perf_counter()
        if seen > workers and time.perf_counter() - begin >= seconds:
            break
    made = passing[: seen - workers]
    return sum(map(len, made)) / (time.perf_counter() - begin), made


def loader_rate(
    source: TrainingSamples | ResidentSamples,
    *,
    batch: int,
    workers: int,
    seconds: float,
    device: str,
    again: Sequence[list[int]] = (),
) -> float:
    """Return the images a second that the loader of a run gives, with nothing else to do.

    What the processes make before they are asked is not counted: the clock starts after it.

    Args:
        source: The samples of a run.
        batch: Images of a batch.
        workers: Loader processes.
        seconds: How long it is watched.
        device: "cpu" or "cuda".
        again: Batches whose images are in the cache, taken round and round; else new ones.
    """
    ahead = 2 * workers + 1
    order = itertools.cycle(again) if again else BatchOrder(batch, 0, 1_000_000)
    begin, count = 0.0, 0
    for number, (_, labels) in enumerate(batches(source, order, workers=workers, device=device)):
        labels.flatten()[0].item()  # waits for the device
        if number < ahead:
            begin = time.perf_counter()
            continue
        count += len(labels)
        if time.perf_counter() - begin >= seconds and number >= ahead + FEWEST_ROUNDS - 1:
            break
    return count / (time.perf_counter() - begin)


Stage = tuple[str, Callable[[], object], bool]


def _host_stages(source: TrainingSamples, spec: DataSpec, batch: int) -> list[Stage]:
    """Return the stages of loader processes, each as work on one batch."""
    transform = source.transform
    assert isinstance(transform, JointTransform)
    pairs = [source.pairs[source.index(number)] for number in range(batch)]
    decoded = [spec.read_pair(pair) for pair in pairs]
    draws = [
        transform.draw(np.random.default_rng((source.seed, 1, number)), labels.shape)
        for number, (_, labels) in enumerate(decoded)
    ]
    windows = [
        seen_window(drawn.matrix, labels.shape, drawn.crop_size)
        for drawn, (_, labels) in zip(draws, decoded, strict=True)
    ]
    samples = [_pixels(*source[number]) for number in range(batch)]
    jobs = list(zip(decoded, draws, windows, strict=True))
    stages: list[Stage] = [
        ("decode", lambda: [(spec.read_image(p), spec.read_labels(p)) for p in pairs], True),
        (
            "warp",
            lambda: [_warped(transform, drawn, *pair, window) for pair, drawn, window in jobs],
            True,
        ),
        (
            "colour jitter",
            lambda: [recolour(image[w], drawn.factors) for (image, _), drawn, w in jobs],
            True,
        ),
        ("collate", lambda: collate([_tensors(*sample) for sample in samples]), True),
    ]
    if spec.cache is not None:
        stages[0] = (*stages[0][:2], False)  # once a file, not once an image
        stages.insert(1, ("cache read", lambda: [_copied(spec.read_pair(p)) for p in pairs], True))
    return stages


def _resident_stages(source: ResidentSamples, spec: DataSpec, batch: int) -> list[Stage]:
    """Return the stages where all images lie on the device."""
    samples = source.samples
    pairs = [samples.pairs[samples.index(number)] for number in range(batch)]
    drawn = [source[number] for number in range(batch)]
    return [
        ("decode", lambda: [(spec.read_image(p), spec.read_labels(p)) for p in pairs], False),
        ("draw", lambda: [source[number] for number in range(batch)], True),
        ("warp and jitter", lambda: source.collate(drawn)[1].flatten()[0].item(), True),
    ]


def _warped(
    transform: JointTransform,
    drawn: Draw,
    image: np.ndarray,
    labels: np.ndarray,
    window: tuple[slice, slice],
) -> tuple[np.ndarray, np.ndarray]:
    """Warp as `JointTransform.apply` does, and leave the colours."""
    rows, columns = window
    where = drawn.matrix.copy()
    where[:, 2] -= columns.start, rows.start
    seen = smooth_before_warp(image[window], where)
    if drawn.nodes is not None:
        where = bent(where, interpolated(drawn.nodes, drawn.crop_size))
    fill = fill_values(transform.fill, image, transform.normalization)
    return (
        warp_image(seen, where, drawn.crop_size, fill=fill),
        warp_labels(labels[window], where, drawn.crop_size),
    )


def _copied(pair: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Read every byte of what may be a view of a file."""
    return [array.copy() for array in pair]


def _pixels(image: Tensor, labels: Tensor) -> tuple[np.ndarray, Tensor]:
    """Return an image as the transform gives it, (H, W, C) in a row; 16 bits come as floats."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy()), labels


def _tensors(pixels: np.ndarray, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Make planes of it, as each sample's are."""
    if pixels.dtype == np.uint8:
        return image_tensor(pixels), labels
    return torch.from_numpy(np.stack(cv2.split(pixels))), labels


def _threads(threads: int, device: str) -> int:
    return threads if device == "cpu" else 1


def _median_seconds(work: Callable[[], object], seconds: float) -> float:
    """Return the median time of a batch; the first one pays for what is set up once."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST_ROUNDS or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))
