import itertools

import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation.boundary import boundary_f1
from atrous.labels import VOID


def slow_boundary_f1(predictions, labels, num_classes, theta):
    """Compare every boundary pixel with every other one, as the definition reads."""
    height, width = labels.shape
    pixels = list(itertools.product(range(height), range(width)))

    def others(values, y, x):
        """Return the 4-neighbours of another value."""
        around = ((y, x + 1), (y + 1, x), (y, x - 1), (y - 1, x))
        inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < width]
        return [point for point in inside if values[point] != values[y, x]]

    def counts(values, point):
        """Whether two classes meet there, where the truth knows them."""
        return labels[point] != VOID and any(labels[p] != VOID for p in others(values, *point))

    def share(points, targets):
        met = [any((y - v) ** 2 + (x - u) ** 2 <= theta**2 for v, u in targets) for y, x in points]
        return sum(met) / len(met) if met else 1.0

    scores = []
    for index in range(num_classes):
        region = [point for point in pixels if labels[point] == index]
        edge, found = (
            [point for point in pixels if values[point] == index and others(values, *point)]
            for values in (labels, predictions)
        )
        missed = [p for p in edge if predictions[p] != index]
        true_judged = [p for p in edge if p in missed or counts(labels, p)]
        found_judged = [p for p in found if counts(predictions, p)]
        recall, precision = share(true_judged, found), share(found_judged, edge)
        total = precision + recall
        if not region:
            scores.append(np.nan)
        elif not true_judged and not found_judged:
            scores.append(float(all(predictions[point] == index for point in region)))
        else:
            scores.append(2 * precision * recall / total if total else 0.0)
    return scores


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_the_definition_says(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 1, 2, VOID], (3, 4), p=[0.4, 0.3, 0.2, 0.1])
    labels = np.kron(coarse, np.ones((5, 6))).astype(np.uint8)
    predictions = np.roll(np.where(labels == VOID, 0, labels), rng.integers(-3, 4, 2), (0, 1))
    predictions[rng.random(labels.shape) < 0.02] = 1

    for theta in (0.9, 1.0, np.sqrt(2), 2.3):
        tolerance = theta / np.hypot(*labels.shape)
        np.testing.assert_allclose(
            boundary_f1(predictions, labels, 4, tolerance=tolerance * (1 + 1e-9)),
            slow_boundary_f1(predictions, labels, 4, theta * (1 + 1e-9)),
        )


def test_a_square_may_move_by_the_tolerance_and_no_further():
    labels = np.zeros((360, 480), np.uint8)  # the diagonal is 600, so 4.5 px
    labels[100:200, 100:200] = 1
    scores = [boundary_f1(np.roll(labels, shift, 1), labels, 2)[1] for shift in range(8)]

    assert scores[:5] == [1.0] * 5
    assert scores[5] < 1
    assert scores[7] < scores[5] + 1e-12


def test_a_class_without_truth_has_no_score_and_a_missed_one_none_at_all():
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 10:] = 1
    found = np.zeros((20, 20), np.uint8)
    found[:, 15:] = 2

    scores = boundary_f1(found, labels, 3)

    assert scores[1] == 0
    assert np.isnan(scores[2])


@pytest.mark.parametrize("split", [20, 12])
def test_a_class_that_fills_the_image_has_no_boundary_to_miss(split):
    labels = np.zeros((20, 20), np.uint8)
    found = labels.copy()
    found[:, split:] = 1

    assert boundary_f1(found, labels, 2)[0] == (1 if split == 20 else 0)


def test_a_boundary_under_void_is_not_held_against_the_prediction():
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    labels[:, 17:24] = VOID
    found = np.zeros_like(labels)
    found[:, 21:] = 1

    assert boundary_f1(found, labels, 2, tolerance=5 / np.hypot(40, 40)).tolist() == [1, 1]


def test_a_hole_of_void_is_no_boundary_to_find():
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 10:20] = VOID

    assert boundary_f1(np.zeros_like(labels), labels, 1).tolist() == [1]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_right_outside_void_scores_one_whatever_lies_under_it(seed):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 3, (4, 5)), np.ones((6, 6))).astype(np.uint8)
    hidden = rng.random(labels.shape) < 0.1
    hidden |= np.kron(rng.random((6, 5)) < 0.3, np.ones((4, 6))).astype(bool)
    labels[hidden] = VOID
    found = np.where(hidden, rng.integers(0, 3, labels.shape), labels)

    scores = boundary_f1(found, labels, 3, tolerance=0)

    np.testing.assert_array_equal(scores[np.isin(range(3), labels)], 1)


def test_an_object_ringed_by_void_is_missed_all_the_same():
    labels = np.zeros((40, 60), np.uint8)
    for left in (5, 35):
        labels[8:32, left : left + 20] = VOID
        labels[12:28, left + 4 : left + 16] = 1
    found = np.where(labels == VOID, 0, labels)

    assert boundary_f1(found, labels, 2).tolist() == [1, 1]
    found[:, 30:] = 0
    assert boundary_f1(found, labels, 2)[1] == 0  # nothing else of its boundary is known
    found[13, 9:21] = found[12, 9:21] = 0  # strays by two pixels, within three
    assert 0 < boundary_f1(found, labels, 2, tolerance=3 / np.hypot(40, 60))[1] < 0.5


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(InputError, match=r"\(4, 5\).*\(5, 4\); give two maps"):
        boundary_f1(np.zeros((4, 5), int), np.zeros((5, 4), int), 2)
