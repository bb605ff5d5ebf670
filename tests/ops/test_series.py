"""A chunk for each pixel: geometric series, sums and polynomials in compiled code."""

import numba
import numpy as np
import pytest

from atrous.ops.rows import load, store
from atrous.ops.series import logarithm, of_lanes, polynomial, powers, totals, where_positive


@numba.njit
def series(values, new, shape):
    first, ratio = load(values, 0, (0,)), load(values, 1, (0,))
    row = powers(first, ratio, shape)
    store(new, 0, totals(row))
    store(new, 1, first * polynomial(of_lanes(ratio, shape), first))
    store(new, 2, where_positive(first, ratio, first - ratio))
    store(new, 3, first / ratio)


@numba.njit
def logarithms(values, new):
    for i in range(values.shape[0]):
        store(new, i, logarithm(load(values, i, (0,))))


@pytest.mark.parametrize("pixels", [1, 4, 8])
def test_series_are_those_of_numpy(pixels):
    values = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 8)).astype(np.float32)
    first, ratio = values.astype(np.float64)
    new = np.empty((4, 8), np.float32)

    series(values, new, (0,) * pixels)

    sums = [(first * ratio**p).sum() if p < pixels else 0 for p in range(8)]
    np.testing.assert_allclose(new[0], sums, rtol=1e-5, atol=1e-5)
    terms = [ratio[p] * first ** (p + 1) for p in range(pixels)]
    np.testing.assert_allclose(new[1], np.sum(terms, axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(new[2], np.where(first > 0, ratio, first - ratio), rtol=1e-6)
    np.testing.assert_allclose(new[3], first / ratio, rtol=1e-6)


def test_logarithms_hold_their_digits_beside_one_too():
    values = np.concatenate(
        [
            np.exp(np.linspace(-85, 85, 4000)),
            1 + np.linspace(-0.5, 1.5, 4000),
            1 + np.float32(2) ** -np.arange(1, 23),
            [1.0, 2.0],
        ]
    )
    values = values.astype(np.float32).reshape(-1, 8)
    new = np.empty_like(values)

    logarithms(values, new)

    np.testing.assert_allclose(new, np.log(values.astype(np.float64)), rtol=5e-7, atol=1e-12)
    assert new.ravel()[-2] == 0
