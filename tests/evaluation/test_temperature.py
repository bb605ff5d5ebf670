import json

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import bootstrap

from atrous.data import open_data
from atrous.errors import InputError
from atrous.evaluation import evaluate
from atrous.evaluation import temperature as module
from atrous.evaluation.temperature import (
    HIGHEST,
    LOWEST,
    calibrate,
    fit_temperature,
    sample_pixels,
)
from atrous.inference import Predictor
from atrous.labels import VOID, LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization


def drawn(temperature, *, count=20_000, classes=6, seed=0):
    """Make logits, and labels drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = (3 * rng.standard_normal((count, classes))).astype(np.float32)
    gumbel = rng.gumbel(size=logits.shape)
    return logits, (logits / temperature + gumbel).argmax(1)


def loss(logits, labels, temperature):
    z = logits.astype(np.float64) / temperature
    top = z.max(1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(z - top).sum(1))
    return (log_sum - z[np.arange(len(z)), labels]).mean()


@pytest.mark.parametrize("truth", [0.4, 1.0, 1.7, 4.0])
def test_it_finds_the_temperature_that_labels_were_drawn_with(truth):
    logits, labels = drawn(truth, count=60_000)
    assert fit_temperature(logits, labels) == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize("truth", [0.2, 1.3, 6.0])
def test_it_is_the_minimum_that_scipy_and_a_grid_find(truth):
    logits, labels = drawn(truth, count=3000)
    found = fit_temperature(logits, labels)
    scipys = minimize_scalar(
        lambda t: loss(logits, labels, t), bounds=(LOWEST, HIGHEST), options={"xatol": 1e-7}
    ).x
    assert found == pytest.approx(scipys, rel=1e-4)
    grid = np.geomspace(LOWEST, HIGHEST, 400)
    best = grid[np.argmin([loss(logits, labels, t) for t in grid])]
    assert abs(np.log(found / best)) < np.log(grid[1] / grid[0])


def test_what_is_added_to_all_logits_of_a_pixel_does_not_matter():
    logits, labels = drawn(1.5, count=2000)
    shifted = torch.from_numpy(logits).log_softmax(1).numpy()
    assert fit_temperature(shifted, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-5
    )


def test_without_a_mistake_it_stops_at_the_lower_bound():
    logits, _ = drawn(1.0, count=500)
    assert fit_temperature(logits, logits.argmax(1)) == LOWEST == 0.1


def test_with_nothing_but_mistakes_it_stops_at_the_upper_bound():
    logits, _ = drawn(1.0, count=500)
    assert fit_temperature(logits, logits.argmin(1)) == HIGHEST == 10


@pytest.mark.parametrize("logits", [np.zeros((9, 1)), np.full((9, 4), 0.3), np.zeros((0, 4))])
def test_where_every_temperature_is_as_good_it_is_1(logits):
    labels = np.zeros(len(logits), np.int64)
    assert fit_temperature(logits.astype(np.float32), labels) == 1


def test_one_class_that_occurs_alone_still_has_a_temperature():
    logits, _ = drawn(1.0, count=500)
    labels = np.full(500, 2)
    found = fit_temperature(logits, labels)
    assert LOWEST <= found <= HIGHEST


def test_impossible_probabilities_are_finite():
    logits = np.array([[0, -87.0], [-87.0, 0], [0, -87.0]], np.float32)
    assert LOWEST <= fit_temperature(logits, np.array([0, 1, 1])) <= HIGHEST


@pytest.mark.parametrize(("shape", "count"), [((50, 40), 300), ((10, 20), 300), ((300, 300), 50)])
def test_pixels_are_different_not_void_and_the_same_for_a_seed(shape, count):
    labels = np.random.default_rng(1).choice([0, 1, VOID], shape).astype(np.uint8)
    one, two, other = (
        sample_pixels(labels, count, np.random.default_rng(seed), VOID) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one, axis=0)) == len(one) == min(count, np.count_nonzero(labels != VOID))
    assert (labels[one[:, 0], one[:, 1]] != VOID).all()
    assert sorted(map(tuple, one)) != sorted(map(tuple, other)) or len(one) < count


def test_pixels_come_from_everywhere_alike():
    labels = np.zeros((40, 40), np.uint8)
    counts = np.zeros(labels.shape)
    for seed in range(400):
        counts[tuple(sample_pixels(labels, 40, np.random.default_rng(seed), VOID).T)] += 1
    quarters = counts.reshape(2, 20, 2, 20).sum((1, 3))
    np.testing.assert_allclose(quarters, 4000, rtol=0.06)  # three standard deviations


def test_nothing_but_void_gives_no_pixel():
    assert (
        len(sample_pixels(np.full((9, 9), VOID, np.uint8), 5, np.random.default_rng(0), VOID)) == 0
    )


class ByColour(SegmentationModel):
    """Reads the class off the colour, wrongly now and then, and is `gain` times too sure."""

    def __init__(self, gain=4.0):
        super().__init__()
        self.label_set = LabelSet.numbered(3)
        self.normalization = Normalization((0.0,) * 3, (1.0,) * 3)
        self.gain = gain

    def score(self, images):
        red, green = images[:, 0], images[:, 1]
        logits = torch.stack([1 - red - green, red, green], 1)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(logits.shape, generator=generator)
        return Scores(self.gain * (logits + 0.8 * noise))


def test_calibrating_lowers_the_error_that_evaluate_measures_and_moves_no_label(spec):
    model = ByColour()
    found = calibrate(Predictor(model, device="cpu"), spec)
    before = evaluate(Predictor(model, device="cpu"), spec, details=True)
    model.calibration = found.to_json()
    after = evaluate(Predictor(model, device="cpu"), spec, details=True)

    assert found.helps
    assert 0 < found.gain[0] < found.likelihood[0] - found.likelihood[1] < found.gain[1]
    assert found.temperature > 1.5
    assert found.images == 4
    np.testing.assert_array_equal(after.matrix, before.matrix)
    figures = {name: figure.value for name, figure in after.figures.items()}
    plain = before.figures["expected_calibration_error"].value
    assert figures["expected_calibration_error"] < 0.5 * plain
    assert figures["expected_calibration_error_uncalibrated"] == pytest.approx(plain, abs=1e-9)
    assert "expected_calibration_error_uncalibrated" not in before.figures
    assert after.protocol["temperature"] == found.temperature


def test_the_sample_is_all_pixels_of_a_small_split_so_the_fit_is_exact(spec):
    model = ByColour()
    predictor = Predictor(model, device="cpu")
    found = calibrate(predictor, spec)
    logits, truth = [], []
    for pair in spec.splits["val"]:
        labels = spec.read_labels(pair)
        maps = predictor(spec.read_image(pair), probabilities=True).probabilities
        logits.append(np.log(maps[:, labels != VOID]).T)
        truth.append(labels[labels != VOID].astype(np.int64))
    assert found.pixels == sum(map(len, truth))
    everything = np.concatenate(logits), np.concatenate(truth)
    scipys = minimize_scalar(
        lambda t: loss(*everything, t), bounds=(LOWEST, HIGHEST), options={"xatol": 1e-7}
    ).x
    assert found.temperature == pytest.approx(scipys, rel=1e-3)


def test_a_model_that_holds_a_temperature_is_calibrated_anew(spec):
    model = ByColour()
    first = calibrate(Predictor(model, device="cpu"), spec)
    model.calibration = first.to_json()
    assert calibrate(Predictor(model, device="cpu"), spec).temperature == first.temperature


def test_windows_do_not_move_the_pixels(spec, monkeypatch):
    """Each pixel keeps its own probabilities, whichever window they come from."""
    predictor = Predictor(ByColour(), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (150, 190, 3), dtype=np.uint8)
    points = sample_pixels(np.zeros((150, 190), np.uint8), 500, np.random.default_rng(0), VOID)
    for tile in (0, 64):
        predictor = Predictor(ByColour(), tile=tile, device="cpu")
        maps = predictor(image, probabilities=True).probabilities
        found = predictor.at(image, points)
        np.testing.assert_array_equal(found, maps[:, points[:, 0], points[:, 1]].T)


def test_a_split_of_nothing_but_void_is_told(one_pair):
    spec = one_pair([VOID, VOID])
    model = ByColour()
    model.label_set = LabelSet(spec.label_set.names)
    with pytest.raises(InputError, match="nothing but void"):
        calibrate(Predictor(model, device="cpu"), spec)


def test_one_image_is_judged_with_its_own_temperature(one_pair):
    spec = one_pair([0, 1, 2, 1])
    found = calibrate(Predictor(ByColour(), device="cpu"), spec)
    assert found.images == 1
    assert np.isfinite(found.error).all()
    assert np.isnan(found.gain).all()
    assert not found.helps  # it was fitted on the very image
    json.dumps(found.to_json(), allow_nan=False)
    assert open_data(spec.root) is not None


def of_images(temperatures, *, count=400):
    """Make what is kept of images whose labels were drawn at these temperatures."""
    return [drawn(each, count=count, seed=seed) for seed, each in enumerate(temperatures)]


def test_a_film_is_judged_by_its_other_half_not_by_neighbouring_frames():
    """Sure by day and vague by night: what suits one half is wrong for the other."""
    film = of_images([0.5] * 10 + [2.0] * 10, count=2000)
    found = module._conclude(film)
    day, night = (
        fit_temperature(*(np.concatenate(each) for each in zip(*half, strict=True)))
        for half in (film[:10], film[10:])
    )
    expected = [loss(*image, night) for image in film[:10]]
    expected += [loss(*image, day) for image in film[10:]]
    assert found.likelihood[1] == pytest.approx(np.mean(expected), rel=1e-9)
    assert found.likelihood[1] > found.likelihood[0]
    assert not found.helps
    assert found.gain[1] < 0


def test_the_interval_is_that_of_a_bootstrap_over_images():
    """scipy's, of the mean gain per image: all images have the same number of pixels."""
    images = of_images([1.3, 1.1, 1.6, 1.0, 1.4, 1.2, 1.5, 0.9])
    found = module._conclude(images)
    halves = (
        tuple(np.concatenate(each) for each in zip(*half, strict=True))
        for half in (images[4:], images[:4])
    )
    used = [fit_temperature(*half) for half in halves for _ in range(4)]
    gains = [loss(*x, 1.0) - loss(*x, each) for x, each in zip(images, used, strict=True)]
    scipys = bootstrap((gains,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    width = scipys.confidence_interval.high - scipys.confidence_interval.low
    assert found.gain == pytest.approx(tuple(scipys.confidence_interval), abs=0.1 * width)
    assert found.likelihood[0] - found.likelihood[1] == pytest.approx(np.mean(gains), rel=1e-9)


def test_a_gain_that_may_be_chance_does_not_count():
    """Half of such gains are above 0 though there is nothing to gain."""
    found = [
        module._conclude([drawn(1.02, count=100, seed=10 * run + image) for image in range(6)])
        for run in range(30)
    ]
    rises = sum(each.likelihood[1] < each.likelihood[0] for each in found)
    assert rises >= 5
    assert sum(each.helps for each in found) < rises
    assert all(each.helps == (each.gain[0] > 0) for each in found)
