"""Student's t against scipy's."""

import math

import pytest
from scipy import stats

from atrous.compare.student import quantile, two_sided


@pytest.mark.parametrize("freedom", [0.7, 1, 2, 2.37, 4, 11.5, 99, 3000])
def test_tails_and_quantiles_are_those_of_scipy(freedom: float) -> None:
    for t in (0.0, 1e-3, 0.5, 1.0, 2.776, 4.3, 12.7, 80.0):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)
        assert two_sided(-t, freedom) == two_sided(t, freedom)
    for level in (0.001, 0.05, 0.5):
        assert quantile(level, freedom) == pytest.approx(stats.t.isf(level / 2, freedom), rel=1e-8)


def test_nothing_lies_beyond_infinity() -> None:
    assert two_sided(math.inf, 3) == 0.0
