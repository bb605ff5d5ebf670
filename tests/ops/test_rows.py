"""Rows of labels as single values of compiled code."""

import numba
import numpy as np
import pytest

from atrous.ops.rows import (
    add_to,
    exponential,
    highest,
    load,
    maximum,
    shape_of,
    store,
    total,
    zeros,
)


@numba.njit
def exponentials(values, new, shape):
    for i in range(values.shape[0]):
        store(new, i, exponential(load(values, i, shape)))


@numba.njit
def arithmetic(a, b, new, shape):
    row, other = load(a, 0, shape), load(b, 0, shape)
    store(new, 0, row + other)
    store(new, 1, row * other)
    store(new, 2, np.float32(3) * row + np.float32(1))
    store(new, 3, maximum(row, other))
    store(new, 4, zeros(shape))
    add_to(new, 5, np.float32(2), row)
    return highest(row), total(row)


def test_shapes_pad_to_whole_chunks():
    assert [len(shape_of(count)) for count in (1, 2, 8, 9, 21, 150)] == [1, 1, 1, 2, 3, 19]


@pytest.mark.parametrize("chunks", [1, 3])
def test_arithmetic(chunks):
    a, b = np.random.default_rng(0).standard_normal((2, 1, 8 * chunks)).astype(np.float32)
    new = np.ones((6, 8 * chunks), np.float32)

    largest, mass = arithmetic(a, b, new, (0,) * chunks)

    expected = [a + b, a * b, 3 * a + 1, np.maximum(a, b), 0 * a, 1 + 2 * a]
    np.testing.assert_allclose(new, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    assert largest == a.max()
    assert mass == pytest.approx(a.sum(), abs=1e-5)


def test_exponentials_of_what_a_softmax_meets():
    values = np.linspace(-87, 0, 8 * 4000, dtype=np.float32).reshape(-1, 8)
    values[0] = [0, -0.0, -1e-30, -1e-3, -0.5, -86.9, -1, -10]
    new = np.empty_like(values)

    exponentials(values, new, (0,))

    np.testing.assert_allclose(new, np.exp(values.astype(np.float64)), rtol=6e-6)


def test_exponentials_of_far_lower_numbers_are_nearly_zero_and_normal():
    values = np.array([[-88, -100, -1e4, -1e30, -np.inf, -3e38, -500, -90]], np.float32)
    new = np.empty_like(values)

    exponentials(values, new, (0,))

    assert (new > 0).all()
    assert (new < 2e-38).all()
