"""Squares of numbers turned over in registers, against numpy's transpose."""

import numba
import numpy as np
import pytest

from atrous.ops.row_shapes import shape_of
from atrous.ops.squares import lanes_of, transpose


@numba.njit
def turn(source, first, target, to, chunk):
    transpose(source, first, target, to, chunk)
    return lanes_of(chunk)


@pytest.mark.parametrize("side", [2, 4, 8])
def test_a_square_goes_where_it_should_and_nothing_else_changes(side):
    source = np.random.default_rng(0).standard_normal((11, 13)).astype(np.float32)
    target = np.full((10, 21), -9, np.float32)
    expected = target.copy()
    expected[2 : 2 + side, 5 : 5 + side] = source[3 : 3 + side, 1 : 1 + side].T

    assert turn(source, (3, 1), target, (2, 5), shape_of(side)) == side

    np.testing.assert_array_equal(target, expected)
