"""Rows without padding: what is read is the row and zeros, what is written is the row alone."""

import numba
import numpy as np
import pytest

from atrous.ops.packed_rows import load_packed, store_packed
from atrous.ops.row_shapes import shape_of, width_of
from atrous.ops.rows import load, store


@numba.njit
def unpack_row(packed, index, padded, shape):
    store(padded, 0, load_packed(packed, index, shape))


@numba.njit
def pack_row(padded, packed, index, shape):
    store_packed(packed, index, load(padded, 0, shape))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 16, 21])
def test_a_row_comes_alone(count):
    shape = shape_of(count)
    packed = np.arange(1, 3 * count + 1, dtype=np.float32).reshape(3, count)
    padded = np.full((1, width_of(shape)), np.nan, np.float32)

    unpack_row(packed, 1, padded, shape)

    np.testing.assert_array_equal(padded[0, :count], packed[1])
    assert (padded[0, count:] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 16, 21])
def test_a_row_is_written_alone(count):
    shape = shape_of(count)
    padded = np.full((1, width_of(shape)), 7, np.float32)
    memory = np.zeros(3 * count + 16, np.float32)
    packed = memory[: 3 * count].reshape(3, count)

    for index in (1, 2):  # the last one too: behind it lies memory of others
        pack_row(padded, packed, index, shape)

    np.testing.assert_array_equal(memory, [0] * count + [7] * 2 * count + [0] * 16)
