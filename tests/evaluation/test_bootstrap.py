import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation import bootstrap, bootstrap_interval
from atrous.evaluation.bootstrap import (
    Difference,
    drawn_figures,
    gain_interval,
    intervals,
    mean_interval,
    mean_iou_of,
    p_value,
    paired_bootstrap,
    paired_difference,
    percentiles,
)
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


def paired_models(seed, images, gain):
    """Make counts of two models on the same images; the second finds `gain` more of each class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(50, 1000, (images, 3))
    hard = rng.uniform(0.3, 0.9, (images, 1))
    models = []
    for more in (0, gain):
        share = np.clip(hard + more + rng.normal(0, 0.05, (images, 3)), 0, 1)
        hits = (truth * share).astype(np.int64)
        wrong = truth.sum(1, keepdims=True) - hits.sum(1, keepdims=True)
        models.append((hits, truth, hits + wrong // 3))
    return models


def plain_mean_iou(counts):
    hits, truth, predicted = (each.sum(0) for each in counts)
    return (hits / (truth + predicted - hits)).mean()


def test_a_paired_difference_is_that_of_scipys_bootstrap():
    from scipy import stats

    first, second = paired_models(1, 40, 0.02)

    def difference(index):
        drawn = ([each[index] for each in model] for model in (second, first))
        return np.subtract(*(plain_mean_iou(model) for model in drawn))

    expected = stats.bootstrap(
        (np.arange(40),),
        difference,
        n_resamples=4000,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    found = paired_bootstrap(first, second)

    spread = expected.standard_error
    assert found.value == pytest.approx(plain_mean_iou(second) - plain_mean_iou(first))
    assert found.interval[0] == pytest.approx(expected.confidence_interval.low, abs=0.15 * spread)
    assert found.interval[1] == pytest.approx(expected.confidence_interval.high, abs=0.15 * spread)
    # Near normal here, so the p value is that of d / se.
    normal = 2 * stats.norm.sf(abs(found.value) / spread)
    assert found.p_value == pytest.approx(normal, rel=0.5, abs=0.01)


def test_the_p_value_and_the_interval_tell_one_story():
    for seed in range(20):
        found = paired_bootstrap(*paired_models(seed, 15, 0.01), resamples=1000)
        low, high = found.interval
        if not 0.045 < found.p_value < 0.055:
            assert (found.p_value < 0.05) == (low > 0 or high < 0)


def test_equal_models_are_called_different_about_one_time_in_twenty():
    p_values = [
        paired_bootstrap(*paired_models(seed, 40, 0.0), resamples=500).p_value
        for seed in range(100)
    ]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.12
    assert 0.35 <= np.mean(np.array(p_values) < 0.5) <= 0.65


def test_the_order_of_two_models_turns_the_sign_and_nothing_else():
    first, second = paired_models(2, 30, 0.01)
    ahead, behind = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert behind.value == pytest.approx(-ahead.value)
    assert behind.interval == pytest.approx((-ahead.interval[1], -ahead.interval[0]))
    assert behind.p_value == ahead.p_value


def test_a_model_does_not_differ_from_itself():
    first, _ = paired_models(3, 10, 0.0)
    assert paired_bootstrap(first, first) == Difference(0.0, (0.0, 0.0), 1.0)


def test_a_clear_win_has_the_smallest_p_value_that_the_draws_can_show():
    first, second = paired_models(4, 30, 0.3)
    assert paired_bootstrap(first, second, resamples=999).p_value == 2 / 1000


def test_one_image_shows_a_difference_without_an_interval():
    found = paired_bootstrap(*paired_models(5, 1, 0.1))
    assert found.value > 0
    assert np.isnan([*found.interval, found.p_value]).all()


def test_two_models_on_other_images_are_not_compared():
    first, _ = paired_models(6, 10, 0.0)
    _, second = paired_models(7, 10, 0.0)
    with pytest.raises(InputError, match=r"not scored on the same images.*evaluate both on one"):
        paired_bootstrap(first, second)
    shorter = tuple(each[:9] for each in first)
    with pytest.raises(InputError, match="not scored on the same images"):
        paired_bootstrap(first, shorter)


def test_any_figure_of_two_models_can_be_compared():
    rng = np.random.default_rng(0)
    first = rng.normal(0.6, 0.1, 50)
    second = first + rng.normal(0.05, 0.02, 50)
    found = paired_difference(first, second, lambda sums: sums / 50)
    error = (second - first).std() / np.sqrt(50)
    assert found.value == pytest.approx((second - first).mean())
    assert found.interval[0] == pytest.approx(found.value - 1.96 * error, abs=0.15 * error)


def test_several_figures_have_each_its_own_interval(matrices):
    """A class that few images hold is judged on the draws that hold it."""
    rare = matrices.copy()
    rare[6:, 2] = 0

    def accuracies(sums):
        with np.errstate(invalid="ignore"):
            return np.diagonal(sums, axis1=1, axis2=2) / sums.sum(2)

    bounds = intervals(rare, accuracies)

    assert bounds.shape == (2, 3)
    rng = np.random.default_rng(8)
    slow = [rare[rng.integers(0, 40, 40)].sum(0) for _ in range(3000)]
    for index in range(3):
        values = [m[index, index] / m[index].sum() for m in slow if m[index].any()]
        expected = np.quantile(values, [0.025, 0.975])
        np.testing.assert_allclose(bounds[:, index], expected, atol=0.25 * np.std(values))
    rare[:, 2] = 0
    assert np.isnan(intervals(rare, accuracies)[:, 2]).all()
    assert np.isnan(intervals(rare[:1], accuracies)).all()


def test_draws_taken_in_blocks_are_the_same_draws(matrices, monkeypatch):
    expected = interval(matrices)
    monkeypatch.setattr(bootstrap, "BLOCK", 300)
    assert interval(matrices) == expected


def slow_mean_iou(statistics, drawn):
    hits, truth, predicted = (sum(statistics[i, part] for i in drawn) for part in range(3))
    kept = [k for k in range(len(truth)) if truth[k] > 0]
    return np.mean([hits[k] / (truth[k] + predicted[k] - hits[k]) for k in kept])


def test_drawn_scores_are_those_of_a_slow_loop_on_the_same_draws():
    runs = np.stack([np.stack(each, 1) for each in paired_models(0, 7, 0.05)], 1)  # (7, 2, 3, 3)
    runs[:5, :, :2, 2] = 0  # a class that only two images hold
    draws = np.random.default_rng(1).multinomial(7, np.full(7, 1 / 7), size=40)

    fast = drawn_figures(runs, mean_iou_of, resamples=40, seed=1)

    assert fast.shape == (40, 2)
    for index, row in enumerate(draws):
        drawn = np.repeat(np.arange(7), row)
        slow = [slow_mean_iou(runs[:, model], drawn) for model in (0, 1)]
        assert fast[index] == pytest.approx(slow)


def test_draws_without_a_value_are_left_out_of_p_value_and_percentiles():
    drawn = np.array([np.nan, -1.0, 1.0, 2.0, 3.0, np.nan])
    assert p_value(drawn) == pytest.approx(2 * 2 / 5)
    assert percentiles(drawn, 0.5).tolist() == np.quantile([-1, 1, 2, 3], [0.25, 0.75]).tolist()
    assert np.isnan(p_value(np.array([np.nan])))
    assert np.isnan(percentiles(np.array([np.nan, np.nan]), 0.95)).all()
