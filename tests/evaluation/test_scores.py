import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from atrous.evaluation import confusion_matrix, scores, trivial_baseline

WORKED = np.array([[50, 10], [5, 35]])


def test_the_worked_example_of_the_conventions():
    """Spec: pixel accuracy 0.85, mean accuracy 0.85417, mIoU 0.73462, fwIoU 0.74154."""
    assert scores.pixel_accuracy(WORKED) == 0.85
    assert scores.mean_accuracy(WORKED) == pytest.approx((50 / 60 + 35 / 40) / 2)
    assert scores.intersection_over_union(WORKED) == pytest.approx([50 / 65, 0.7])
    assert scores.mean_iou(WORKED) == pytest.approx(0.73462, abs=5e-6)
    assert scores.frequency_weighted_iou(WORKED) == pytest.approx(0.74154, abs=5e-6)


def test_scores_equal_scikit_learns_on_every_class_that_occurs():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 5000)
    predictions = np.where(rng.random(5000) < 0.4, rng.integers(0, 7, 5000), labels)
    matrix = confusion_matrix(predictions, labels, 7)
    truth = np.bincount(labels)
    iou = sklearn_metrics.jaccard_score(labels, predictions, average=None)
    np.testing.assert_allclose(scores.intersection_over_union(matrix), iou)
    assert scores.mean_iou(matrix) == pytest.approx(iou.mean())
    assert scores.frequency_weighted_iou(matrix) == pytest.approx((truth * iou).sum() / 5000)
    for name, theirs in (("precision", "precision"), ("dice", "f1"), ("class_accuracy", "recall")):
        score = getattr(sklearn_metrics, f"{theirs}_score")
        expected = score(labels, predictions, average=None)
        np.testing.assert_allclose(getattr(scores, name)(matrix), expected)
    assert scores.mean_dice(matrix) == pytest.approx(
        sklearn_metrics.f1_score(labels, predictions, average="macro")
    )
    assert scores.pixel_accuracy(matrix) == sklearn_metrics.accuracy_score(labels, predictions)
    assert scores.mean_accuracy(matrix) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, predictions)
    )


def test_classes_without_truth_are_left_out_but_cost_the_others():
    matrix = np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]])
    assert np.isnan(scores.intersection_over_union(matrix)[2])
    assert scores.mean_iou(matrix) == pytest.approx((0.8 + 1) / 2)
    assert scores.mean_accuracy(matrix) == pytest.approx((0.8 + 1) / 2)


def test_a_class_that_is_never_predicted_scores_zero():
    matrix = np.array([[5, 0], [5, 0]])
    assert scores.mean_iou(matrix) == 0.25


def test_a_perfect_prediction_scores_one_everywhere():
    matrix = np.diag([3, 0, 7])
    for score in (
        scores.mean_iou,
        scores.mean_accuracy,
        scores.pixel_accuracy,
        scores.frequency_weighted_iou,
    ):
        assert score(matrix) == 1


def test_nothing_counted_has_no_score():
    empty = np.zeros((3, 3), int)
    for score in (
        scores.mean_iou,
        scores.mean_accuracy,
        scores.pixel_accuracy,
        scores.frequency_weighted_iou,
        lambda matrix: trivial_baseline(matrix)[0],
    ):
        assert np.isnan(score(empty))


@settings(deadline=None)
@given(arrays(np.int64, (4, 4), elements=st.integers(0, 50)).filter(lambda m: m.sum() > 0))
def test_the_baseline_is_the_best_of_all_constant_predictions(matrix):
    truth = matrix.sum(1)
    constants = [np.zeros((4, 4), int) for _ in range(4)]
    for label, constant in enumerate(constants):
        constant[:, label] = truth
    best = max(scores.mean_iou(constant) for constant in constants)
    baseline, label = trivial_baseline(matrix)
    assert baseline == pytest.approx(best)
    assert scores.mean_iou(constants[label]) == pytest.approx(best)


@settings(deadline=None)
@given(arrays(np.int64, (5, 3, 3), elements=st.integers(0, 1000)))
def test_a_stack_of_matrices_is_scored_as_each_of_them(stack):
    stacked = scores.intersection_over_union(stack)
    for matrix, iou in zip(stack, stacked, strict=True):
        np.testing.assert_array_equal(scores.intersection_over_union(matrix), iou)


def test_counts_beyond_32_bits_keep_their_share():
    matrix = np.array([[3 * 2**40, 2**40], [0, 2**42]])
    assert scores.pixel_accuracy(matrix) == 0.875


def test_figures_equal_torchmetrics():
    import torch
    from torchmetrics.functional import classification as peer

    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 6, (4000,), generator=generator)
    other = torch.randint(0, 6, (4000,), generator=generator)
    predictions = torch.where(torch.rand(4000, generator=generator) < 0.3, other, labels)
    labels[:100] = 255
    matrix = confusion_matrix(predictions.numpy(), labels.numpy(), 6)
    options = {"num_classes": 6, "average": None, "ignore_index": 255}
    for name, theirs in (
        ("intersection_over_union", peer.multiclass_jaccard_index),
        ("class_accuracy", peer.multiclass_recall),
        ("precision", peer.multiclass_precision),
        ("dice", peer.multiclass_f1_score),
    ):
        expected = theirs(predictions, labels, **options).numpy()
        np.testing.assert_allclose(getattr(scores, name)(matrix), expected, rtol=1e-5)


def test_a_class_that_is_never_predicted_has_no_precision_to_boast_of():
    matrix = np.array([[5, 0, 0], [5, 0, 0], [0, 0, 0]])
    for figure in (scores.precision, scores.dice):
        assert figure(matrix)[1] == 0
        assert np.isnan(figure(matrix)[2])


def test_an_excluded_class_is_not_void():
    """By hand: the second class leaves the means, but its 5 pixels stay mistakes of the first."""
    matrix = np.array([[50, 10], [5, 35]])
    kept = np.array([True, False])
    assert scores.mean_iou(matrix, kept) == 50 / 65
    assert scores.mean_accuracy(matrix, kept) == 50 / 60
    assert scores.mean_dice(matrix, kept) == 100 / 115
    assert scores.frequency_weighted_iou(matrix, kept) == pytest.approx(50 / 65)
    assert scores.pixel_accuracy(matrix) == 0.85
    assert scores.trivial_baseline(matrix, kept) == (0.6, 0)
    as_void = matrix * [[1], [0]]
    assert scores.mean_iou(as_void, kept) == 50 / 60


@settings(deadline=None)
@given(arrays(np.int64, (4, 4), elements=st.integers(0, 50)), arrays(np.bool_, 4))
def test_the_table_of_figures_is_what_the_functions_say(matrix, kept):
    counts = scores.three_counts(matrix)
    table = {name: float(read(counts, kept)) for name, read in scores.MEAN_FIGURES.items()}
    expected = {
        "mean_iou": scores.mean_iou(matrix, kept),
        "mean_accuracy": scores.mean_accuracy(matrix, kept),
        "mean_dice": scores.mean_dice(matrix, kept),
        "frequency_weighted_iou": scores.frequency_weighted_iou(matrix, kept),
        "pixel_accuracy": scores.pixel_accuracy(matrix),
    }
    for name, value in expected.items():
        assert table[name] == pytest.approx(value, nan_ok=True)
    known = scores.precision(matrix)[kept]
    known = known[~np.isnan(known)]
    mean = known.mean() if known.size else np.nan
    assert table["mean_precision"] == pytest.approx(mean, nan_ok=True)
