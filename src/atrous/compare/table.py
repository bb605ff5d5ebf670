"""The table of a comparison: one row for each network, over all its seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from atrous.compare.cell import Cell
from atrous.compare.significance import Comparison, Difference, compare_scores
from atrous.compare.together import Latency
from atrous.compare.weighing import Weight
from atrous.evaluation.bootstrap import intervals, mean_interval
from atrous.evaluation.calibration import expected_calibration_error
from atrous.evaluation.evaluation import LEARNT_MARGIN

__all__ = ["Row", "Table", "make_table"]

SCORES = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")


@dataclass(frozen=True)
class Row:
    """One network: means over its seeds.

    Attributes:
        name: What it is called in this comparison.
        network: Architecture.
        encoder: Its encoder; None is the paper's own.
        start: What its weights began with.
        seeds: Seeds of the finished trainings; () for a model that was finished before.
        by_seed: Mean IoU of each of them.
        mean_iou: Their mean.
        interval: 95 %, over images and, where there are several, seeds.
        spread: Standard deviation between seeds; NaN for one.
        boundary_f1: Mean BF score over the images.
        boundary_interval: 95 %, over images.
        calibration_error: Expected calibration error, 0 for a network as right as it says.
        calibration_interval: 95 %, over images.
        iou: Of each class, None where it never occurs.
        has_learnt: Whether `mean_iou` is above the best constant prediction, by the margin that
            `Evaluation.has_learnt` asks of one training.
        latency: Milliseconds of a prediction; None where they were not measured.
        weight: Parameters, multiply-adds, bytes.
        steps: Optimizer steps of each training; None for a model that was finished before.
        images_seen: Images in them.
        train_seconds: Mean time of a training.
        other_scores: Pixel accuracy and the like.
        remarks: What the reader should know of it: a seed that failed, or was trained further.
    """

    name: str
    network: str
    encoder: str | None
    start: str
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]
    mean_iou: float
    interval: tuple[float, float]
    spread: float
    boundary_f1: float
    boundary_interval: tuple[float, float]
    calibration_error: float
    calibration_interval: tuple[float, float]
    iou: tuple[float | None, ...]
    has_learnt: bool
    latency: Latency | None
    weight: Weight
    steps: int | None
    images_seen: int | None
    train_seconds: float | None
    other_scores: Mapping[str, float]
    remarks: tuple[str, ...] = field(default=())

    @property
    def milliseconds(self) -> float:
        """Return the median of a prediction; NaN where none was timed."""
        return math.nan if self.latency is None else self.latency.median


@dataclass(frozen=True)
class Table:
    """The whole comparison.

    Attributes:
        rows: The best mean IoU first.
        differences: Every pair of rows.
        failed: Name -> why there is no row of it.
        images: How many were scored.
        classes: Their names.
        baseline: Mean IoU of the best constant prediction, and its class.
    """

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    failed: Mapping[str, str]
    images: int
    classes: tuple[str, ...]
    baseline: tuple[float, str]

    @property
    def best(self) -> Row | None:
        """The highest score among the rows that have learnt anything; None where none has."""
        return next((row for row in self.rows if row.has_learnt), None)

    @property
    def is_timed(self) -> bool:
        """Whether there are milliseconds of every row."""
        return all(row.latency is not None for row in self.rows)

    def between(self, one: str, other: str) -> Difference:
        """Return the difference of two rows, whichever way round it is kept."""
        return next(d for d in self.differences if {d.first, d.second} == {one, other})


def make_table(
    cells: Mapping[str, Sequence[Cell]],
    *,
    starts: Mapping[str, str],
    latency: Mapping[str, Latency],
    weights: Mapping[str, Weight],
    failures: Mapping[str, Mapping[int | None, str]],
) -> Table:
    """Gather the finished cells.

    Args:
        cells: Name -> its finished cells, one for each seed, at least one.
        starts: Name -> what its weights began with.
        latency: Name -> milliseconds; a name that was not timed is not in it.
        weights: Name -> what it weighs.
        failures: Name -> seed -> why that cell failed.
    """
    comparison = compare_scores({name: [cell.counts for cell in cells[name]] for name in cells})
    rows = [
        _row(
            cells[name],
            comparison,
            start=starts[name],
            latency=latency.get(name),
            weight=weights[name],
            failed=failures.get(name, {}),
        )
        for name in cells
    ]
    first = next(iter(cells.values()))[0]
    evaluation = _evaluation(first)
    return Table(
        rows=tuple(sorted(rows, key=lambda row: -row.mean_iou)),
        differences=comparison.differences,
        failed={name: _reason(each) for name, each in failures.items() if name not in cells},
        images=len(first.boundary),
        classes=tuple(str(name) for name in _list(evaluation["names"])),
        baseline=(_float(evaluation["baseline_mean_iou"]), str(evaluation["baseline_class"])),
    )


def _row(
    cells: Sequence[Cell],
    comparison: Comparison,
    *,
    start: str,
    latency: Latency | None,
    weight: Weight,
    failed: Mapping[int | None, str],
) -> Row:
    first, name = cells[0], cells[0].name
    evaluations = [_evaluation(cell) for cell in cells]
    scores = [_float(each["mean_iou"]) for each in evaluations]
    boundary = _mean_of_known(np.stack([cell.boundary for cell in cells]))  # (N,)
    known = boundary[~np.isnan(boundary)]
    sums = np.stack([cell.confidence for cell in cells], 1)  # (N, S, 3, bins)
    error_low, error_high = intervals(sums, _calibration_error).tolist()
    seconds = [_float(cell.facts.get("train_seconds")) for cell in cells]
    steps, seen = first.facts.get("steps"), first.facts.get("images_seen")
    encoder = first.facts["encoder"]
    return Row(
        name=name,
        network=str(first.facts["network"]),
        encoder=None if encoder is None else str(encoder),
        start=start,
        seeds=tuple(cell.seed for cell in cells if cell.seed is not None),
        by_seed=tuple(scores),
        mean_iou=float(np.mean(scores)),
        interval=comparison.intervals[name],
        spread=float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan,
        boundary_f1=float(known.mean()) if known.size else math.nan,
        boundary_interval=mean_interval(known),
        calibration_error=float(_calibration_error(sums.sum(0, keepdims=True))[0]),
        calibration_interval=(error_low, error_high),
        iou=_class_means([_list(each["iou"]) for each in evaluations]),
        has_learnt=_has_learnt(scores, evaluations),
        latency=latency,
        weight=weight,
        steps=steps if isinstance(steps, int) else None,
        images_seen=seen if isinstance(seen, int) else None,
        train_seconds=None if math.isnan(seconds[0]) else float(np.mean(seconds)),
        other_scores={
            key: float(np.mean([_float(each[key]) for each in evaluations])) for key in SCORES
        },
        remarks=(
            *(f"seed {seed} failed: {why}" for seed, why in failed.items()),
            *(
                f"seed {cell.seed} was trained {cell.further} steps beyond the budget of the others"
                for cell in cells
                if cell.further
            ),
        ),
    )


def _reason(failures: Mapping[int | None, str]) -> str:
    """Return why no seed of a network was finished; the same reason once."""
    return "; ".join(dict.fromkeys(failures.values()))


def _has_learnt(scores: Sequence[float], evaluations: Sequence[Mapping[str, object]]) -> bool:
    """Judge the mean over the seeds: one seed that failed to learn lowers it, and that is all."""
    baseline = _float(evaluations[0]["baseline_mean_iou"])
    return float(np.mean(scores)) > baseline + LEARNT_MARGIN


def _class_means(by_seed: Sequence[Sequence[object]]) -> tuple[float | None, ...]:
    return tuple(
        None if column[0] is None else float(np.mean([_float(value) for value in column]))
        for column in zip(*by_seed, strict=True)
    )


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the seeds (S, N) of each image; NaN where all of it is void."""
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    mean: np.ndarray = np.divide(
        total, count, out=np.full(values.shape[1], np.nan), where=count > 0
    )
    return mean


def _calibration_error(sums: np.ndarray) -> np.ndarray:
    """Return the mean over the seeds of the calibration errors of sums (R, S, 3, bins): (R,)."""
    mean: np.ndarray = expected_calibration_error(sums).mean(-1)
    return mean


def _evaluation(cell: Cell) -> Mapping[str, object]:
    found = cell.facts["evaluation"]
    assert isinstance(found, Mapping)
    return found


def _list(value: object) -> Sequence[object]:
    assert isinstance(value, list)
    return value


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
