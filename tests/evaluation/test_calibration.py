import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from atrous.errors import InputError
from atrous.evaluation.calibration import (
    BINS,
    confidence_bins,
    expected_calibration_error,
    reliability,
)
from atrous.labels import VOID


@pytest.fixture
def probabilities():
    logits = torch.randn(5, 40, 60, generator=torch.Generator().manual_seed(0)) * 2
    return logits.softmax(0)


@pytest.fixture
def labels():
    labels = np.random.default_rng(0).integers(0, 5, (40, 60)).astype(np.uint8)
    labels[:3] = VOID
    return labels


def test_it_is_torchmetrics_calibration_error(probabilities, labels):
    confidence, predictions = (x.numpy() for x in probabilities.max(0))
    scored = torch.from_numpy(labels != VOID)
    expected = multiclass_calibration_error(
        probabilities[:, scored].T,
        torch.from_numpy(labels[labels != VOID]).long(),
        num_classes=5,
        n_bins=BINS,
    )
    found = expected_calibration_error(confidence_bins(confidence, predictions, labels))
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_parts_add_up_to_the_whole(probabilities, labels):
    confidence, predictions = (x.numpy() for x in probabilities.max(0))
    whole = confidence_bins(confidence, predictions, labels)
    parts = [
        confidence_bins(confidence[rows], predictions[rows], labels[rows])
        for rows in (slice(0, 11), slice(11, 40))
    ]
    np.testing.assert_allclose(sum(parts), whole)
    assert whole[0].sum() == np.count_nonzero(labels != VOID)


def test_bins_hold_their_upper_end():
    edges = np.arange(1, BINS + 1) / BINS
    exact = edges[np.ceil(edges * BINS) == np.arange(1, BINS + 1)]  # where floats are exact
    assert 1.0 in exact
    for edge in exact:
        bins = confidence_bins(np.array([edge]), np.array([0]), np.array([0]))
        assert bins[0].argmax() == round(edge * BINS) - 1
    assert confidence_bins(np.array([0.0]), np.array([0]), np.array([0]))[0, 0] == 1


def test_a_network_that_is_right_as_often_as_it_says_has_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 200_000)
    predictions = np.ones(confidence.shape, int)
    labels = np.where(rng.random(confidence.shape) < confidence, 1, 0)
    bins = confidence_bins(confidence, predictions, labels)
    assert expected_calibration_error(bins) < 0.005
    for row in reliability(bins):
        assert row["accuracy"] == pytest.approx(row["confidence"], abs=0.02)
        assert row["from"] < row["confidence"] <= row["to"]
    assert sum(row["share"] for row in reliability(bins)) == pytest.approx(1)


def test_a_network_that_is_always_sure_is_off_by_its_errors():
    bins = confidence_bins(np.ones(10), np.zeros(10, int), np.array([0] * 7 + [1] * 3))
    assert expected_calibration_error(bins) == pytest.approx(0.3)


def test_nothing_but_void_has_no_error():
    bins = confidence_bins(np.ones(4), np.zeros(4, int), np.full(4, VOID))
    assert np.isnan(expected_calibration_error(bins))
    assert reliability(bins) == []


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="give three maps of one size"):
        confidence_bins(np.ones(4), np.zeros(3, int), np.zeros(4, int))
