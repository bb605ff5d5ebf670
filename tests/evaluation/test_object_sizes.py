import numpy as np
import pytest
from scipy import ndimage

from atrous.evaluation.object_sizes import SIZES, object_counts
from atrous.labels import VOID


def slow_counts(maps, others, num_classes):
    """One object at a time, with scipy's labelling."""
    counts = np.zeros((num_classes, 3, 4), int)
    known = (maps != VOID) & (others != VOID)
    for index in range(num_classes):
        parts, number = ndimage.label((maps == index) & known, structure=np.ones((3, 3)))
        for part in range(1, number + 1):
            area = (parts == part).sum()
            right = ((parts == part) & (others == index)).sum()
            size = 0 if area < 1024 else 1 if area < 9216 else 2
            counts[index, size] += [1, right / area >= 0.5, area, right]
    return counts


@pytest.mark.parametrize("seed", range(5))
def test_objects_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 1, 2, VOID], (9, 11), p=[0.5, 0.2, 0.2, 0.1])
    labels = np.kron(coarse, np.ones((20, 20))).astype(np.uint8)
    predictions = np.roll(np.where(labels == VOID, 1, labels), (7, 5), (0, 1))
    expected = slow_counts(labels, predictions, 4)
    assert (expected[:, :, 0].sum(0) > 0)[:2].all()
    np.testing.assert_array_equal(object_counts(labels, predictions, 4), expected)
    back = slow_counts(predictions, labels, 4)
    np.testing.assert_array_equal(object_counts(predictions, labels, 4), back)


def test_an_object_on_the_limit_is_of_the_larger_size():
    labels = np.zeros((40, 40), np.uint8)
    labels[:32, :32] = 1
    assert object_counts(labels, labels, 2)[1, :, 0].tolist() == [0, 1, 0]
    labels[0, 0] = 0
    assert object_counts(labels, labels, 2)[1, :, 0].tolist() == [1, 0, 0]
    assert [name for name, _ in SIZES] == ["small", "medium", "large"]


def test_nothing_but_void_holds_no_object():
    labels = np.full((8, 8), VOID, np.uint8)
    assert not object_counts(labels, np.zeros_like(labels), 2).any()
    assert not object_counts(np.zeros_like(labels), labels, 2).any()
