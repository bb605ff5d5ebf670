import math

import pytest

from atrous.crf import DenseCRF
from atrous.crf.search import COARSE, COARSE_POINTS, MOST_POINTS, coarse_to_fine, crf_at


def test_the_coarse_grid_spans_what_both_papers_searched():
    assert math.prod(map(len, COARSE)) == COARSE_POINTS
    assert [(min(values), max(values)) for values in COARSE] == [(3, 10), (30, 100), (3, 10)]


@pytest.mark.parametrize("peak", [(3.4, 42, 7.5), (10, 100, 3), (2.2, 70, 5)])
def test_a_smooth_peak_is_found_to_within_a_fine_step(peak):
    visits = []

    def score(points):
        visits.extend(points)
        return [
            -sum(math.log(value / top) ** 2 for value, top in zip(point, peak, strict=True))
            for point in points
        ]

    found = coarse_to_fine(score)

    assert list(found) == visits
    assert len(set(visits)) == len(visits) <= MOST_POINTS
    best = max(found, key=found.get)
    for value, top in zip(best, peak, strict=True):
        assert 1 / 1.36 < value / top < 1.36


def test_equal_scores_keep_the_first():
    found = coarse_to_fine(lambda points: [0.5] * len(points))

    assert max(found, key=found.get) == (3, 30, 3)


def test_a_point_changes_the_appearance_kernel_alone():
    base = DenseCRF(iterations=4, normalization="symmetric")
    crf = crf_at(base, (4, 67, 2.5))

    assert (crf.appearance.weight, crf.appearance.xy_std, crf.appearance.rgb_std) == (4, 67, 2.5)
    assert (crf.smoothness, crf.iterations, crf.normalization) == (base.smoothness, 4, "symmetric")
