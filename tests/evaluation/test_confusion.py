import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from atrous.errors import InputError
from atrous.evaluation import confusion, confusion_matrix


def slow_matrix(predictions, labels, num_classes, ignore_index):
    """One pixel at a time, from the definition."""
    matrix = np.zeros((num_classes, num_classes), int)
    for predicted, true in zip(predictions.ravel(), labels.ravel(), strict=True):
        if true != ignore_index:
            matrix[true, predicted] += 1
    return matrix


@settings(deadline=None, max_examples=60)
@given(data=st.data(), num_classes=st.integers(2, 6))
def test_counts_equal_a_slow_loop(data, num_classes):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    classes = st.integers(0, num_classes - 1)
    predictions = data.draw(arrays(np.uint8, shape, elements=classes))
    labels = data.draw(arrays(np.uint8, shape, elements=classes | st.just(255)))
    expected = slow_matrix(predictions, labels, num_classes, 255)
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, num_classes), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_counts_equal_scikit_learns_for_every_integer_type(dtype):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 19, (2, 60, 80)).astype(dtype)
    expected = sklearn_metrics.confusion_matrix(labels.ravel(), predictions.ravel())
    matrix = confusion_matrix(predictions, labels, 19)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_that_share_the_work_lose_no_pixel(monkeypatch, threads):
    monkeypatch.setattr(confusion, "SHARED", 100)
    monkeypatch.setattr(confusion.cv2, "getNumThreads", lambda: threads)
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, (2, 12347)).astype(np.uint8)
    expected = sklearn_metrics.confusion_matrix(labels, predictions)
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, 5), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_more_pixels_than_one_go_may_count_are_counted_in_pieces(monkeypatch, threads):
    monkeypatch.setattr(confusion, "SHARED", 100)
    monkeypatch.setattr(confusion, "MOST", 1000)
    monkeypatch.setattr(confusion.cv2, "getNumThreads", lambda: threads)
    labels, predictions = np.random.default_rng(0).integers(0, 5, (2, 12347)).astype(np.uint8)
    expected = sklearn_metrics.confusion_matrix(labels, predictions)
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, 5), expected)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7, 8, 9, 4099])
@pytest.mark.parametrize("classes", [2, 150, 255])
def test_every_pixel_counts_whatever_their_number(number, classes):
    """The compiled loop takes eight at a time, and the rest."""
    rng = np.random.default_rng(number)
    predictions = rng.integers(0, classes, number).astype(np.uint8)
    labels = rng.choice([*range(classes), 255], number).astype(np.uint8)
    expected = slow_matrix(predictions, labels, classes, 255)
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, classes), expected)


def test_labels_and_predictions_of_two_types_are_counted():
    labels, predictions = np.random.default_rng(0).integers(0, 4, (2, 500))
    expected = sklearn_metrics.confusion_matrix(labels, predictions)
    matrix = confusion_matrix(predictions, labels.astype(np.uint8), 4)
    np.testing.assert_array_equal(matrix, expected)
    truth = labels > 1
    matrix = confusion_matrix(predictions > 1, truth, 2)  # masks of one class
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(truth, predictions > 1))


def test_void_may_be_a_number_of_a_class_or_below_zero():
    labels, predictions = np.array([0, 1, 2, 2]), np.array([0, 1, 7, 1])
    assert confusion_matrix(predictions, labels, 3, ignore_index=2).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]
    labels[2:] = -1
    assert confusion_matrix(predictions, labels, 3, ignore_index=-1).sum() == 2


def test_one_class_over_many_pixels_loses_no_count():
    labels = np.zeros((4100, 4100), np.uint8)  # 16.8 million pixels, above 2**24
    assert confusion_matrix(labels, labels, 2)[0, 0] == 4100 * 4100


def test_void_pixels_count_neither_as_truth_nor_as_prediction():
    labels = np.full((4, 4), 255, np.uint8)
    predictions = np.full((4, 4), 77, np.uint8)  # under void anything goes
    assert confusion_matrix(predictions, labels, 3).sum() == 0


def test_the_void_label_can_be_another_number():
    labels, predictions = np.array([0, 1, 9]), np.array([0, 1, 1])
    assert confusion_matrix(predictions, labels, 2, ignore_index=9).tolist() == [[1, 0], [0, 1]]


def test_views_and_strides_are_counted_as_they_look():
    labels = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint8)
    turned = labels.T[::2, ::-1]
    assert (
        confusion_matrix(turned, turned.copy(), 3) == np.diag(np.bincount(turned.ravel()))
    ).all()


@pytest.mark.parametrize(
    ("predictions", "labels", "words"),
    [
        ([0, 3, 3], [0, 1, 2], r"predictions hold 3 \(2 pixels\), but the classes are 0..2"),
        ([0, 1, 2], [0, 1, 7], r"labels hold 7 \(1 pixels\)"),
        ([0, 255], [0, 1], r"predictions hold 255 \(1 pixels\)"),
        ([0, 1, 1], [255, 4, 255], r"labels hold 4 \(1 pixels\)"),
        ([9, 4, 1], [255, 0, 255], r"predictions hold 4 \(1 pixels\)"),
        ([-1, 0], [0, 1], "predictions hold -1"),
        ([0, 1], [0, -(2**40)], "labels hold -1099511627776"),
        (list(range(3, 10)), [0] * 7, "predictions hold 3 .* and 2 more values"),
        ([0, 300], [0, 1], "predictions hold 300"),
        ([0, 1, 2], [0, 1], r"shape \(3,\), the labels \(2,\)"),
        ([0.5, 1.0], [0, 1], "float64; give integers"),
    ],
)
def test_values_that_are_no_class_are_told_with_their_count(predictions, labels, words):
    with pytest.raises(InputError, match=words) as caught:
        confusion_matrix(np.array(predictions), np.array(labels), 3)
    assert "\n" not in str(caught.value)
