import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.border_weights import (
    border_weights,
    instances_of,
    inverse_frequency,
    separation,
)
from atrous.errors import InputError


def by_hand(instances, w0=10.0, sigma=5.0):
    """The paper's formula, pixel by pixel and cell by cell."""
    result = np.zeros(instances.shape)
    cells = [np.argwhere(instances == number) for number in np.unique(instances) if number]
    if len(cells) < 2:
        return result
    for pixel in np.ndindex(*instances.shape):
        first, second = sorted(np.hypot(*(cell - pixel).T).min() for cell in cells)[:2]
        result[pixel] = w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2))
    return result


def blobs(seed, size=(60, 70), count=7):
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, np.uint8)
    for _ in range(count):
        row, column = rng.integers(0, size[0]), rng.integers(0, size[1])
        height, width = rng.integers(1, 12, 2)
        labels[row : row + height, column : column + width] = 1
    return labels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_the_term_is_the_papers_formula(seed, sigma):
    instances = instances_of(blobs(seed))
    expected = by_hand(instances, sigma=sigma)
    assert np.abs(separation(instances, sigma=sigma) - expected).max() < 1e-6


@pytest.mark.parametrize(("gap", "weight"), [(1, 9.2312), (4, 6.0653), (9, 1.3534), (19, 0.003355)])
def test_between_two_cells_the_weight_is_that_of_their_distance(gap, weight):
    # d1 + d2 is gap + 1 anywhere between: 2, 5, 10, 20
    labels = np.zeros((30, 60), np.uint8)
    labels[:, :10] = labels[:, 10 + gap : 40] = 1
    found = separation(instances_of(labels))[15, 10 : 10 + gap]
    assert found == pytest.approx(np.full(gap, weight), rel=2e-4)  # printed digits


def test_fewer_than_two_cells_have_no_border():
    alone = np.zeros((20, 20), np.uint8)
    assert not separation(instances_of(alone)).any()
    alone[3:9, 4:8] = 1
    assert not separation(instances_of(alone)).any()


def test_cells_are_pieces_of_one_class_that_touch_by_their_sides():
    labels = np.array([[1, 0, 2, 2], [0, 1, 2, 0], [1, 1, 255, 1]], np.uint8)
    numbers = instances_of(labels)
    assert numbers[labels == 0].max() == numbers[labels == 255].max() == 0
    groups = {tuple(sorted(map(tuple, np.argwhere(numbers == n)))) for n in range(1, 5)}
    assert groups == {
        ((0, 0),),
        ((1, 1), (2, 0), (2, 1)),
        ((0, 2), (0, 3), (1, 2)),
        ((2, 3),),
    }
    assert numbers.max() == 4


def test_weights_add_the_frequency_and_leave_cells_and_void_alone():
    labels = blobs(3)
    labels[:5] = 255
    found = border_weights(labels)
    void, cells = labels == 255, labels == 1
    share = cells.sum() / (~void).sum()
    term = by_hand(instances_of(labels))
    assert (found[void] == 0).all()
    assert found[cells] == pytest.approx(np.full(cells.sum(), 1 / (2 * share)), rel=1e-5)
    outside = ~void & ~cells
    assert found[outside] == pytest.approx(1 / (2 * (1 - share)) + term[outside], abs=1e-4)


def test_class_weights_of_the_data_set_are_taken_as_they_are():
    labels = np.array([[0, 0, 0], [1, 1, 2]], np.uint8)
    found = border_weights(labels, class_weights=[1.0, 2.0, 3.0], w0=0.0)
    assert found.tolist() == [[1, 1, 1], [2, 2, 3]]
    assert found.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_inverse_frequencies_have_the_mean_one(pixels):
    weights = inverse_frequency(pixels)
    if sum(pixels):
        mean = sum(w * count for w, count in zip(weights, pixels, strict=True)) / sum(pixels)
        assert mean == pytest.approx(1)
    assert all((weight > 0) == (count > 0) for weight, count in zip(weights, pixels, strict=True))


def test_an_image_that_is_void_throughout_weighs_nothing():
    assert not border_weights(np.full((4, 5), 255, np.uint8)).any()


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((3, 3), np.int64), {}, "the labels are int64 of shape .*give .* uint8"),
        (np.full((3, 3), 2, np.uint8), {"class_weights": [1.0, 1.0]}, "are 2, but label 2 occurs"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, options, message):
    with pytest.raises(InputError, match=message):
        border_weights(labels, **options)
