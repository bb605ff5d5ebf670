"""Maps become rows and rows become maps, against plain numpy, at every odd shape."""

import itertools

import numpy as np
import pytest

from atrous import InputError
from atrous.crf.engine import make_rows, write_maps
from atrous.crf.packing import COLUMNS, pack, unpack
from atrous.crf.threads import Team
from atrous.ops.row_shapes import shape_of, width_of

LEAST = 1e-5
EPS = np.finfo(np.float32).eps
SIZES = (1, 1), (1, 71), (9, 1), (2, 7), (5, 32), (3, 33), (4, 41), (7, 100)
COUNTS = 2, 3, 4, 5, 8, 9, 16, 21, 67, 300


def probabilities(num_labels, height, width):
    """Return (K, H, W) float32 that sum to 1, some of them 0."""
    logits = np.random.default_rng(0).standard_normal((num_labels, height, width)) * 6
    odds = np.exp(logits) * (logits > -4)
    odds[0] += odds.sum(0) == 0
    return (odds / odds.sum(0)).astype(np.float32)


def in_order(maps):
    """Return (N, K): pixels strip by strip, row by row within a strip."""
    strips = np.split(maps, range(COLUMNS, maps.shape[2], COLUMNS), axis=2)
    rows = np.concatenate([strip.reshape(len(maps), -1).T for strip in strips])
    return np.ascontiguousarray(rows)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_labels", COUNTS)
def test_rows_are_maps_raised_and_normalised_and_maps_are_rows(num_labels, size):
    maps = probabilities(num_labels, *size)
    raised = in_order(maps.astype(np.float64)).clip(LEAST)
    expected = raised / raised.sum(1, keepdims=True)

    for threads in 1, 2, 3:
        with Team(threads) as team:
            rows = make_rows(maps, np.arange(num_labels), team)
            again, packed = np.full_like(maps, -1), np.full_like(maps, -1)
            write_maps(rows, np.arange(num_labels), again, team)
            write_maps(rows[:, :num_labels].copy(), np.arange(num_labels), packed, team)

        assert rows.shape == (len(expected), width_of(shape_of(num_labels)))
        rounding = (8 + num_labels / 4) * EPS  # labels are summed one after the other
        np.testing.assert_allclose(rows[:, :num_labels], expected, rtol=rounding)
        assert not rows[:, num_labels:].any()
        np.testing.assert_array_equal(in_order(again), rows[:, :num_labels])
        np.testing.assert_array_equal(packed, again)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("labels", [[1, 4], [0, 2, 5], [1, 3, 4, 7, 9, 10, 11, 20, 21]])
def test_some_labels_only(labels, size):
    maps = np.full((22, *size), np.nan, np.float32)
    maps[labels] = probabilities(len(labels), *size)
    raised = in_order(maps[labels].astype(np.float64)).clip(LEAST)

    for threads in 1, 3:
        with Team(threads) as team:
            rows = make_rows(maps, np.array(labels), team)
            again = np.full_like(maps, -1)
            write_maps(rows, np.array(labels), again, team)

        expected = raised / raised.sum(1, keepdims=True)
        np.testing.assert_allclose(rows[:, : len(labels)], expected, rtol=10 * EPS)
        np.testing.assert_array_equal(in_order(again[labels]), rows[:, : len(labels)])
        assert (np.delete(again, labels, axis=0) == -1).all()


@pytest.mark.parametrize("num_labels", [2, 4, 5, 21])
def test_a_share_of_the_pixels_leaves_the_others_alone(num_labels):
    maps, labels = probabilities(num_labels, 3, 45), np.arange(num_labels)
    rows, chunk = in_order(maps), shape_of(num_labels)[:1]
    raised = rows.clip(LEAST) / rows.clip(LEAST).sum(1, keepdims=True)
    marks = in_order(np.arange(maps[0].size).reshape(1, *maps[0].shape))[:, 0]

    for begin, end in itertools.combinations(range(0, len(rows) + 1, 9), 2):
        new = np.full((len(rows), width_of(shape_of(num_labels))), -1, np.float32)
        again = np.full_like(maps, -1)
        pack(maps, labels, np.float32(LEAST), begin, end, new, (0.99, 1.01), chunk)
        unpack(rows, labels, begin, end, again, chunk)

        np.testing.assert_allclose(new[begin:end, :num_labels], raised[begin:end], rtol=10 * EPS)
        assert (np.delete(new, slice(begin, end), axis=0) == -1).all()
        flat = again.reshape(num_labels, -1)
        np.testing.assert_array_equal(flat[:, marks[begin:end]].T, rows[begin:end])
        assert (np.delete(flat, marks[begin:end], axis=1) == -1).all()


@pytest.mark.parametrize("num_labels", [2, 3, 5, 21])
@pytest.mark.parametrize(
    ("altered", "message"),
    [
        (lambda value: np.nan, "NaN"),
        (lambda value: np.inf, "infinity"),
        (lambda value: value + 0.02, "sum to 1.02;"),
        (lambda value: value - 0.02, "sum to 0.98;"),
    ],
)
def test_one_wrong_value_is_found_wherever_it_stands(num_labels, altered, message):
    maps = np.full((num_labels, 2, 43), 1 / num_labels, np.float32)
    with Team(2) as team:
        make_rows(maps, np.arange(num_labels), team)
        for place in np.ndindex(maps.shape):
            wrong = maps.copy()
            wrong[place] = altered(wrong[place])
            with pytest.raises(InputError, match=message):
                make_rows(wrong, np.arange(num_labels), team)


@pytest.mark.parametrize("num_labels", [2, 3, 5, 21])
def test_a_negative_value_is_found_where_the_sum_is_right(num_labels):
    maps = np.full((num_labels, 2, 43), 1 / num_labels, np.float32)
    with Team(2) as team:
        for k, y, x in np.ndindex(maps.shape):
            wrong = maps.copy()
            wrong[k - 1, y, x] += wrong[k, y, x] + 1e-3
            wrong[k, y, x] = -1e-3
            with pytest.raises(InputError, match=r"go down to -0\.001"):
                make_rows(wrong, np.arange(num_labels), team)
