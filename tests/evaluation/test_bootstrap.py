import numpy as np
import pytest

from atrous.evaluation import bootstrap_interval
from atrous.evaluation.bootstrap import gain_interval, mean_interval
from atrous.evaluation.scores import mean_iou


def interval(matrices, **options):
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    return bootstrap_interval(hits, matrices.sum(2), matrices.sum(1), **options)


@pytest.fixture
def matrices():
    """Forty images of three classes whose difficulty varies."""
    rng = np.random.default_rng(0)
    hit = rng.uniform(0.5, 0.95, 40)
    return np.array(
        [
            [rng.multinomial(500, np.roll([h, 0.7 * (1 - h), 0.3 * (1 - h)], c)) for c in range(3)]
            for h in hit
        ]
    )


def test_the_interval_is_that_of_a_slow_bootstrap(matrices):
    """Independent draws of images, one sum and one score at a time."""
    rng = np.random.default_rng(99)
    slow = [mean_iou(matrices[rng.integers(0, 40, 40)].sum(0)) for _ in range(4000)]
    low, high = interval(matrices, resamples=4000)
    spread = np.std(slow)
    assert low == pytest.approx(np.quantile(slow, 0.025), abs=0.15 * spread)
    assert high == pytest.approx(np.quantile(slow, 0.975), abs=0.15 * spread)
    assert low < mean_iou(matrices.sum(0)) < high


def test_the_same_seed_gives_the_same_interval(matrices):
    assert interval(matrices) == interval(matrices)
    assert interval(matrices) != interval(matrices, seed=1)


def test_more_images_narrow_the_interval(matrices):
    few = interval(matrices[:10])
    many = interval(np.tile(matrices[:10], (9, 1, 1)))
    assert (many[1] - many[0]) == pytest.approx((few[1] - few[0]) / 3, rel=0.15)


def test_equal_images_leave_no_doubt(matrices):
    low, high = interval(np.repeat(matrices[:1], 5, axis=0))
    assert low == high == mean_iou(matrices[0])


def test_one_image_has_no_interval(matrices):
    assert np.isnan(interval(matrices[:1])).all()


def test_a_class_in_one_image_and_images_of_void_are_no_obstacle(matrices):
    rare = matrices.copy()
    rare[1:, 2] = 0
    rare[5:9] = 0
    low, high = interval(rare)
    assert 0 < low < high < 1


def test_an_empty_split_of_void_has_no_interval():
    assert np.isnan(interval(np.zeros((3, 2, 2), int))).all()


def test_counts_per_class_say_all_that_the_matrices_did(matrices):
    """Against sums of whole matrices, drawn as the interval draws: equal to the bit."""
    draws = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=1000)
    drawn = [np.tensordot(draw, matrices, 1) for draw in draws]
    low, high = np.quantile([mean_iou(matrix) for matrix in drawn], [0.025, 0.975])
    assert interval(matrices) == (low, high)


def test_a_gain_is_judged_on_the_same_draws():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 1000, (30, 3))
    hits = (truth * rng.uniform(0.1, 0.9, (30, 1))).astype(np.int64)  # hard and easy images
    before, after = (hits, truth, truth), (hits + truth // 50, truth, truth)

    low, high = gain_interval(before, after)

    assert 0 < low < high < 0.05  # though each score alone moves by far more
    alone = bootstrap_interval(*after)
    assert alone[1] - alone[0] > 3 * (high - low)
    assert gain_interval(before, before) == (0, 0)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(3).normal(5, 2, 400)

    low, high = mean_interval(values, resamples=4000)

    error = values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert np.isnan(mean_interval(values[:1])).all()
