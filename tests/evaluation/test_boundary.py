import itertools

import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation.boundary import boundary_f1
from atrous.labels import VOID


def slow_boundary_f1(predictions, labels, num_classes, theta):
    """Compare every boundary pixel with every other one, as the definition reads."""
    height, width = labels.shape

    def edge(mask):
        return [
            (y, x)
            for y, x in itertools.product(range(height), range(width))
            if mask[y, x]
            and any(
                0 <= y + dy < height and 0 <= x + dx < width and not mask[y + dy, x + dx]
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
            )
        ]

    def share(points, others):
        met = [any((y - v) ** 2 + (x - u) ** 2 <= theta**2 for v, u in others) for y, x in points]
        return sum(met) / len(met)

    scores = []
    for index in range(num_classes):
        true_edge, found_edge = edge(labels == index), edge(predictions == index)
        judged = [point for point in found_edge if labels[point] != VOID]
        if not (labels == index).any():
            scores.append(np.nan)
        elif not true_edge or not found_edge:
            scores.append(float(true_edge == found_edge and (predictions == index).all()))
        else:
            recall = share(true_edge, found_edge)
            precision = share(judged, true_edge) if judged else 1.0
            total = precision + recall
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


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(InputError, match=r"\(4, 5\).*\(5, 4\); give two maps"):
        boundary_f1(np.zeros((4, 5), int), np.zeros((5, 4), int), 2)
