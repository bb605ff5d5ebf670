"""Which CRF parameters suit a model, and whether a CRF helps it at all.

The parameters that are stored are the best on all images. Their gain there would flatter: the best
of 39 tries always looks good. So each half of the images is scored with the parameters that are
best on the other half, and that gain is what the advice rests on.
"""

import logging
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from atrous.crf import DenseCRF
from atrous.crf.search import MOST_POINTS, Point, coarse_to_fine, crf_at
from atrous.data.spec import DataSpec
from atrous.evaluation.bootstrap import gain_interval, mean_interval
from atrous.evaluation.crf_cases import Case, count, make_case, mean_boundary_f1
from atrous.evaluation.crf_search_config import FEWEST
from atrous.evaluation.loop import Progress, pairs_of, scored_classes
from atrous.inference.crf_settings import crf_to_json
from atrous.inference.predictor import Predictor
from atrous.inference.white import white_doubt

__all__ = ["CRFSearch", "Gain", "search_crf"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Gain:
    """A score without and with the CRF, each image with the other half's parameters."""

    before: float
    after: float
    interval: tuple[float, float]
    """95 % interval of the difference, over images."""

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        low, high = (None if np.isnan(bound) else bound for bound in self.interval)
        return {"before": self.before, "after": self.after, "interval_95": [low, high]}


@dataclass(frozen=True)
class CRFSearch:
    """What a search found."""

    crf: DenseCRF
    """The best on all images."""
    points: dict[Point, float]
    """Mean IoU of everything that was tried: (w1, theta_alpha, theta_beta)."""
    mean_iou: Gain
    boundary_f1: Gain
    images: int

    @property
    def helps(self) -> bool:
        """Return whether the mean IoU rises for certain: the whole interval lies above 0.

        Over few images the interval is much too narrow, so they are never enough.
        """
        return self.images >= FEWEST and self.mean_iou.interval[0] > 0

    def to_json(self) -> dict[str, object]:
        """Return what the model folder keeps."""
        return {
            "parameters": crf_to_json(self.crf),
            "helps": self.helps if self.images >= FEWEST else None,
            "mean_iou": self.mean_iou.to_json(),
            "boundary_f1": self.boundary_f1.to_json(),
            "images": self.images,
            "tried": len(self.points),
        }


def search_crf(
    predictor: Predictor,
    spec: DataSpec,
    split: str = "val",
    *,
    images: int = 100,
    base: DenseCRF | None = None,
    progress: Progress | None = None,
) -> CRFSearch:
    """Search w1, theta_alpha and theta_beta on up to `images` images of a split.

    The network sees every image once; its probabilities wait as float16 in a temporary folder, so
    memory is that of an image per core. Images are shared among the cores.

    Args:
        predictor: Without a CRF.
        spec: Data set with the predictor's classes.
        split: Which part of it.
        images: At most so many, evenly spread over the split.
        base: Everything but w1, theta_alpha, theta_beta; DeepLab's if None.
        progress: Told at the start and after each step with (steps done, at most so many).

    Raises:
        InputError: Unknown or empty split, other classes, an image that cannot be read.
    """
    if doubt := white_doubt(predictor.model.normalization, spec.white):
        logging.getLogger(__name__).warning(doubt)
    pairs = pairs_of(spec, split)
    classes = len(scored_classes(spec, predictor.model.label_set))
    chosen = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(images, len(pairs))).astype(int)]
    steps = _Steps(len(chosen) * (MOST_POINTS + 2), progress)
    with tempfile.TemporaryDirectory(prefix="atrous-crf-") as folder, _workers(steps) as pool:
        cases = []
        for number, pair in enumerate(chosen):
            cases.append(make_case(predictor, spec, pair, Path(folder, f"{number}.npz")))
            steps.advance()
        table = _Table(cases, classes, base or DenseCRF(), pool, steps)
        points = coarse_to_fine(table.mean_ious)
        found = table.conclude(points)
        steps.finish()
    return found


class _Table:
    """Counts of every point on every image."""

    def __init__(
        self,
        cases: Sequence[Case],
        classes: int,
        base: DenseCRF,
        pool: ThreadPoolExecutor,
        steps: "_Steps",
    ) -> None:
        self.cases, self.classes, self.base = cases, classes, base
        self.pool, self.steps = pool, steps
        self.counts: dict[Point, Counts] = {}
        """(N, 3, K) of each point."""

    def mean_ious(self, points: list[Point]) -> list[float]:
        """Score points on all images."""
        rows = np.stack(list(self.pool.map(lambda case: self._count(case, points), self.cases)))
        self.counts |= {point: rows[:, index] for index, point in enumerate(points)}
        return [_mean_iou(self.counts[point]) for point in points]

    def conclude(self, points: dict[Point, float]) -> CRFSearch:
        """Score each image with the point that is best on the other half."""
        halves = np.arange(len(self.cases)) % 2
        best = [
            max(points, key=lambda point: _mean_iou(self.counts[point][halves != half]))
            if (halves != half).any()
            else max(points, key=lambda point: points[point])
            for half in (0, 1)
        ]
        crfs = [crf_at(self.base, best[half]) for half in halves]
        pairs = list(self.pool.map(self._judge, self.cases, crfs))
        before = np.stack([counts for counts, _, _ in pairs])
        after = np.stack([self.counts[best[half]][i] for i, half in enumerate(halves)])
        edges = np.array([[plain, sharp] for _, plain, sharp in pairs])
        edges = edges[~np.isnan(edges).any(1)]
        top = max(points, key=lambda point: points[point])
        return CRFSearch(
            crf_at(self.base, top),
            points,
            Gain(
                _mean_iou(before),
                _mean_iou(after),
                gain_interval(_columns(before), _columns(after)),
            ),
            Gain(
                float(edges[:, 0].mean()),
                float(edges[:, 1].mean()),
                mean_interval(edges[:, 1] - edges[:, 0]),
            ),
            len(self.cases),
        )

    def _count(self, case: Case, points: list[Point]) -> Counts:
        image, labels, maps = case.read()
        rows = []
        for point in points:
            rows.append(count(crf_at(self.base, point).map(image, maps), labels, self.classes))
            self.steps.advance()
        return np.stack(rows) if rows else np.zeros((0, 3, self.classes), np.int64)

    def _judge(self, case: Case, crf: DenseCRF) -> tuple[Counts, float, float]:
        """Return the unary's counts, and the BF scores without and with a CRF."""
        _, labels, maps = case.read()
        plain = count(maps.argmax(0).astype(np.uint8), labels, self.classes)
        scores = [mean_boundary_f1(case, self.classes, which) for which in (None, crf)]
        self.steps.advance()
        return plain, scores[0], scores[1]


class _Steps:
    """Counts the steps of all threads, and ends them where the search is given up."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.progress = total, progress
        self.done, self.lock = 0, threading.Lock()
        self.given_up = False
        if progress is not None:
            progress(0, total)

    def advance(self) -> None:
        """Note one step.

        Raises:
            CancelledError: The search was given up; nobody waits for the result.
        """
        if self.given_up:
            raise CancelledError
        with self.lock:
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)

    def finish(self) -> None:
        """Say that the steps which turned out not to be needed are done."""
        if self.progress is not None:
            self.progress(self.total, self.total)


@contextmanager
def _workers(steps: _Steps) -> Iterator[ThreadPoolExecutor]:
    """Open one thread per core for whole images; within each the CRF runs on one thread."""
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    except BaseException:  # Ctrl-C, above all
        steps.given_up = True
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)


def _mean_iou(counts: Counts) -> float:
    """Return the mean IoU of (N, 3, K) counts, over the classes with a true pixel."""
    hits, truth, predicted = counts.sum(0)
    present = truth > 0
    if not present.any():
        return float("nan")
    return float((hits[present] / (truth + predicted - hits)[present]).mean())


def _columns(counts: Counts) -> tuple[Counts, Counts, Counts]:
    return counts[:, 0], counts[:, 1], counts[:, 2]
