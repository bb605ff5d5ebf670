"""The papers' parameter search: a coarse grid over w1, theta_alpha, theta_beta, then a finer one.

DeepLab v1 (ICLR 2015, Sec. 5.2) searches w1 in 5..10, theta_alpha in 50..100 and theta_beta in
3..10 on 100 validation images, coarse to fine; v2 (TPAMI 2017, Sec. 4) 3..6, 30..100 and 3..6. The
smoothness kernel stays at w2 = 3, theta_gamma = 3. The coarse grid here spans both papers' ranges;
the fine steps are ours (no paper prints them) and may leave the ranges.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.parameters import Appearance

__all__ = [
    "COARSE",
    "COARSE_POINTS",
    "FINE_STEPS",
    "MOST_POINTS",
    "Point",
    "coarse_to_fine",
    "crf_at",
]

Point = tuple[float, float, float]
"""w1, theta_alpha in pixels, theta_beta in steps of 8-bit colour."""

COARSE: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = (
    (3, 5.5, 10),
    (30, 55, 100),
    (3, 5.5, 10),
)
"""Values of each, evenly spaced on a logarithmic scale: a factor of about 1.8 apart."""

FINE_STEPS = (1.35, 1.16)
"""Factors by which the fine rounds move one parameter at a time: a half and a quarter of that."""

COARSE_POINTS = 27
MOST_POINTS = COARSE_POINTS + 6 * len(FINE_STEPS)


def coarse_to_fine(score: Callable[[list[Point]], list[float]]) -> dict[Point, float]:
    """Score the coarse grid, then the neighbours of the best point in ever smaller steps.

    Args:
        score: Gives each point's score, larger is better; may take all of them at once.

    Returns:
        Every point visited with its score, in the order of the visits; 27 and at most 12 more.

    Example:
        >>> found = coarse_to_fine(lambda points: [-abs(w1 - 4.2) for w1, _, _ in points])
        >>> max(found, key=found.get)[0]
        4.05
    """
    grid = list(product(*COARSE))
    found = dict(zip(grid, score(grid), strict=True))
    for step in FINE_STEPS:
        best = max(found, key=lambda point: found[point])
        fresh = [point for point in _neighbours(best, step) if point not in found]
        found |= zip(fresh, score(fresh), strict=True)
    return found


def crf_at(base: DenseCRF, point: Point) -> DenseCRF:
    """Return `base` with a point's appearance kernel."""
    weight, xy_std, rgb_std = point
    stds = base.appearance.feature_stds if base.appearance else ()
    return replace(base, appearance=Appearance(weight, xy_std, rgb_std, stds))


def _neighbours(point: Point, step: float) -> Iterable[Point]:
    """Yield the six points that differ from `point` by one step in one parameter."""
    for axis in range(3):
        for factor in (1 / step, step):
            moved = list(point)
            moved[axis] = float(f"{moved[axis] * factor:.3g}")
            yield moved[0], moved[1], moved[2]
