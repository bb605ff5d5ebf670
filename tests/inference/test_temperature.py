"""A stored temperature: what it does to probabilities, and what it leaves alone."""

import numpy as np
import pytest
from scipy.special import softmax

from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.inference.temperature import temperature_of


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5, 10.0])
def test_it_divides_the_logits_and_moves_no_label(model, photo, temperature):
    plain = Predictor(model, device="cpu")(photo, probabilities=True, confidence=True)
    model.calibration = {"temperature": temperature}
    predictor = Predictor(model, device="cpu")
    warm = predictor(photo, probabilities=True)
    logits = np.log(plain.probabilities.astype(np.float64))
    expected = softmax(logits / temperature, axis=0)
    np.testing.assert_allclose(warm.probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(predictor(photo).labels, Predictor(model)(photo).labels)
    assert (warm.labels == plain.labels).mean() > 0.999  # exact ties aside
    sure = predictor(photo, confidence=True)
    np.testing.assert_allclose(sure.confidence, expected.max(0), atol=1e-5)
    np.testing.assert_array_equal(sure.labels, predictor(photo).labels)
    back = predictor.without_temperature()(photo, confidence=True)
    np.testing.assert_allclose(back.confidence, plain.confidence, atol=1e-6)
    assert predictor.temperature == temperature


def test_labels_alone_are_the_same_bits_with_any_temperature(model, photo):
    plain = Predictor(model, device="cpu")(photo).labels
    model.calibration = {"temperature": 3.3}
    np.testing.assert_array_equal(Predictor(model, device="cpu")(photo).labels, plain)


def test_each_pass_is_divided_before_the_mean(model, photo):
    model.calibration = {"temperature": 2.0}
    merged = Predictor(model, flip=True, device="cpu")(photo, probabilities=True).probabilities
    one = Predictor(model, device="cpu")
    straight = one(photo, probabilities=True).probabilities
    mirrored = one(photo[:, ::-1].copy(), probabilities=True).probabilities[..., ::-1]
    np.testing.assert_allclose(merged, (straight + mirrored) / 2, atol=1e-5)


def test_a_crf_gets_what_the_search_for_its_parameters_saw(model, photo):
    seen = []

    def crf(image, probabilities):
        seen.append(probabilities)
        return probabilities

    for calibration in (None, {"temperature": 5.0}):
        model.calibration = calibration
        Predictor(model, crf=crf, device="cpu")(photo)
    np.testing.assert_array_equal(*seen)


def test_it_is_stamped_so_that_results_are_not_mixed(model):
    model.calibration = {"temperature": 1.5}
    assert Predictor(model, device="cpu").fingerprint()["temperature"] == 1.5


@pytest.mark.parametrize("value", [None, "warm", True, 0, 0.05, 11, float("nan")])
def test_a_damaged_temperature_is_told(model, value):
    model.calibration = {"temperature": value}
    with pytest.raises(InputError, match=r"stored temperature is .* atrous calibrate MODEL"):
        temperature_of(model)
