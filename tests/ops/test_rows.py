"""Rows of labels as single values of compiled code."""

import numba
import numpy as np
import pytest

from atrous.ops.row_shapes import shape_of, width_of
from atrous.ops.rows import (
    add_to,
    exponential,
    highest,
    load,
    maximum,
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
    counts = 1, 2, 3, 4, 5, 8, 9, 21, 150
    shapes = [shape_of(count) for count in counts]
    assert [len(shape) for shape in shapes] == [1, 1, 1, 1, 1, 1, 2, 3, 19]
    assert [width_of(shape) for shape in shapes] == [2, 2, 4, 4, 8, 8, 16, 24, 152]


@pytest.mark.parametrize("width", [2, 4, 8, 24])
def test_arithmetic(width):
    a, b = np.random.default_rng(0).standard_normal((2, 1, width)).astype(np.float32)
    new = np.ones((6, width), np.float32)

    largest, mass = arithmetic(a, b, new, shape_of(width))

    expected = [a + b, a * b, 3 * a + 1, np.maximum(a, b), 0 * a, 1 + 2 * a]
    np.testing.assert_allclose(new, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    assert largest == a.max()
    assert mass == pytest.approx(a.sum(), abs=1e-5)


@pytest.mark.parametrize("width", [2, 4, 8])
def test_exponentials_of_what_a_softmax_meets(width):
    values = np.linspace(-87, 0, 8 * 4000, dtype=np.float32)
    values[:8] = [0, -0.0, -1e-30, -1e-3, -0.5, -86.9, -1, -10]
    values = values.reshape(-1, width)
    new = np.empty_like(values)

    exponentials(values, new, shape_of(width))

    np.testing.assert_allclose(new, np.exp(values.astype(np.float64)), rtol=6e-6)


def test_exponentials_of_far_lower_numbers_are_nearly_zero_and_normal():
    values = np.array([[-88, -100, -1e4, -1e30, -np.inf, -3e38, -500, -90]], np.float32)
    new = np.empty_like(values)

    exponentials(values, new, (0,))

    assert (new > 0).all()
    assert (new < 2e-38).all()
