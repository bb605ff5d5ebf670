import cv2
import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation.boundary_iou import ring_counts
from atrous.labels import VOID


def ring_of_the_paper(mask, width):
    """Frame the mask with zeros and erode it `width` times, as Cheng et al. publish it."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (eroded == 0)


def made_labels(rng, void=True):
    coarse = rng.choice([0, 1, 2, VOID if void else 0], (8, 9), p=[0.4, 0.3, 0.2, 0.1])
    return np.kron(coarse, np.ones((6, 6))).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 2, 5])
def test_rings_are_those_of_the_papers_erosions_class_by_class(seed, width):
    rng = np.random.default_rng(seed)
    labels = made_labels(rng)
    predictions = np.roll(np.where(labels == VOID, 0, labels), (1, 2), (0, 1))
    scored = labels != VOID
    expected = []
    for index in range(3):
        truth = ring_of_the_paper(labels == index, width)
        found = ring_of_the_paper((predictions == index) & scored, width)
        expected.append([(truth & found).sum(), truth.sum(), found.sum()])

    counts = ring_counts(predictions, labels, 3, ratio=width / np.hypot(*labels.shape))

    assert counts.T.tolist() == expected


def test_rings_are_the_pixels_within_a_square_of_another_label():
    """By brute force: every pixel looks at the square around it."""
    rng = np.random.default_rng(9)
    labels, width = made_labels(rng, void=False)[:20, :25], 3
    truth = np.zeros(3, int)
    for y, x in np.ndindex(labels.shape):
        window = labels[max(y - width, 0) : y + width + 1, max(x - width, 0) : x + width + 1]
        whole = window.size == (2 * width + 1) ** 2
        truth[labels[y, x]] += not whole or len(np.unique(window)) > 1

    counts = ring_counts(labels, labels, 3, ratio=width / np.hypot(*labels.shape))

    assert counts.tolist() == [truth.tolist()] * 3


def test_a_large_object_is_judged_by_its_border_alone():
    labels = np.zeros((200, 200), np.uint8)
    labels[50:150, 50:150] = 1
    found = np.zeros_like(labels)
    found[52:152, 50:150] = 1
    both, truth, predicted = ring_counts(found, labels, 2)[:, 1]
    overlap = (found & labels).sum()
    assert both / (truth + predicted - both) < 0.75 < overlap / (found | labels).sum()


def test_a_perfect_prediction_scores_one_whatever_lies_under_void():
    labels = made_labels(np.random.default_rng(1))
    predictions = np.where(labels == VOID, 2, labels)
    both, truth, found = ring_counts(predictions, labels, 3)
    assert both.tolist() == truth.tolist() == found.tolist()


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="give two maps"):
        ring_counts(np.zeros((4, 5), int), np.zeros((5, 4), int), 2)
