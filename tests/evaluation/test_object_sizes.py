import numpy as np
import pytest
from scipy import ndimage

from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.object_sizes import SIZES, object_counts
from atrous.labels import VOID


def slow_counts(maps, others, num_classes):
    """One object at a time, with scipy's labelling; then one pixel at a time."""
    counts = np.zeros((num_classes, 3, 4), int)
    matrices = np.zeros((3, num_classes, num_classes), int)
    known = (maps < num_classes) & (others < num_classes)
    for index in range(num_classes):
        parts, number = ndimage.label((maps == index) & known, structure=np.ones((3, 3)))
        for part in range(1, number + 1):
            area = (parts == part).sum()
            right = ((parts == part) & (others == index)).sum()
            size = 0 if area < 1024 else 1 if area < 9216 else 2
            counts[index, size] += [1, right / area >= 0.5, area, right]
            for other in others[parts == part]:
                matrices[size, index, other] += 1
    return counts, matrices


def check(maps, others, num_classes):
    counts, matrices = object_counts(maps, others, num_classes)
    expected, expected_matrices = slow_counts(maps, others, num_classes)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(matrices, expected_matrices)
    return counts


@pytest.mark.parametrize("seed", range(5))
def test_objects_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 1, 2, VOID], (9, 11), p=[0.5, 0.2, 0.2, 0.1])
    labels = np.kron(coarse, np.ones((20, 20))).astype(np.uint8)
    predictions = np.roll(np.where(labels == VOID, 1, labels), (7, 5), (0, 1))
    counts = check(labels, predictions, 4)
    assert (counts[:, :, 0].sum(0) > 0)[:2].all()
    check(predictions, labels, 4)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.95])
@pytest.mark.parametrize("size", [(1, 1), (1, 60), (60, 1), (2, 2), (31, 70)])
def test_ragged_objects_are_those_of_scipy(size, share):
    """Single pixels, combs and spirals: every way in which two pieces can meet by a corner."""
    rng = np.random.default_rng(size[1])
    for _ in range(20):
        labels, predictions = (
            np.where(rng.random(size) < share, 1, rng.choice([0, 2, VOID], size)).astype(np.uint8)
            for _ in range(2)
        )
        check(labels, predictions, 3)


def test_pieces_that_meet_late_are_one_object():
    labels = np.zeros((40, 90), np.uint8)
    labels[:, ::2] = 1  # the teeth of a comb, ...
    labels[-1] = 1  # joined in the last row
    check(labels, np.roll(labels, 3, 1), 2)
    assert object_counts(labels, labels, 2)[0][1, :, 0].tolist() == [0, 1, 0]
    check(np.ascontiguousarray(labels[::-1]), labels, 2)


def test_the_matrices_of_the_sizes_add_up_to_the_confusion_matrix():
    rng = np.random.default_rng(3)
    labels = np.kron(rng.choice([0, 1, 2, 3, VOID], (8, 9)), np.ones((30, 30))).astype(np.uint8)
    predictions = rng.integers(0, 4, labels.shape).astype(np.uint8)
    counts, matrices = object_counts(labels, predictions, 4)
    assert (matrices.sum((1, 2))[:2] > 0).all()
    np.testing.assert_array_equal(matrices.sum(0), confusion_matrix(predictions, labels, 4))
    np.testing.assert_array_equal(counts[..., 2], matrices.sum(2).T)
    np.testing.assert_array_equal(counts[..., 3], np.diagonal(matrices, axis1=1, axis2=2).T)


def test_what_is_no_class_on_either_side_is_of_no_object():
    rng = np.random.default_rng(4)
    labels, predictions = (
        np.kron(rng.choice([0, 1, 7, VOID], (9, 9)), np.ones((9, 9))).astype(np.uint8)
        for _ in range(2)
    )
    check(labels, np.roll(predictions, 4, 0), 2)
    wide, other = labels.astype(np.int64), np.roll(predictions, 4, 0).astype(np.int32)
    wide[labels == VOID], other[other == VOID] = -1, -1  # another void, another type
    for mine, theirs in zip(
        object_counts(wide, other, 2, void=-1),
        object_counts(labels, np.roll(predictions, 4, 0), 2),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_an_object_on_the_limit_is_of_the_larger_size():
    labels = np.zeros((40, 40), np.uint8)
    labels[:32, :32] = 1
    assert object_counts(labels, labels, 2)[0][1, :, 0].tolist() == [0, 1, 0]
    labels[0, 0] = 0
    assert object_counts(labels, labels, 2)[0][1, :, 0].tolist() == [1, 0, 0]
    assert [name for name, _ in SIZES] == ["small", "medium", "large"]


def test_nothing_but_void_holds_no_object():
    labels = np.full((8, 8), VOID, np.uint8)
    for counts in (
        *object_counts(labels, np.zeros_like(labels), 2),
        *object_counts(np.zeros_like(labels), labels, 2),
    ):
        assert not counts.any()
