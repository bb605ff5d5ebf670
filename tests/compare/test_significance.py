"""Which differences hold over images and seeds, against slow, exact and simulated oracles."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_ind

from atrous.compare.significance import LEVEL, compare_scores, enough_draws, holm
from atrous.evaluation.bootstrap import Counts, p_value


def holm_by_closed_testing(p_values: list[float]) -> list[float]:
    """Holm's step-down is closed testing with Bonferroni: the largest over all sets that hold i."""
    indices = range(len(p_values))
    return [
        max(
            min(1.0, len(chosen) * min(p_values[k] for k in chosen))
            for size in range(1, len(p_values) + 1)
            for chosen in itertools.combinations(indices, size)
            if i in chosen
        )
        for i in indices
    ]


def test_holm_is_the_worked_example() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_closed_testing_with_bonferroni(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(6).round(2).tolist()  # with ties

    assert holm(p_values) == pytest.approx(holm_by_closed_testing(p_values))


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []


def counts(rng: np.random.Generator, images: int, accuracy: np.ndarray, classes: int = 3) -> Counts:
    """Make counts of images of 1000 pixels; `accuracy` (N,) is the share of each class found."""
    truth = rng.integers(100, 400, (images, classes))
    hits = np.floor(truth * accuracy[:, None]).astype(np.int64)
    missed = truth - hits
    predicted = hits + np.roll(missed, 1, axis=1)  # what one class loses the next one gets
    return hits, truth.astype(np.int64), predicted.astype(np.int64)


def test_a_constant_gain_on_every_image_is_significant_although_the_intervals_overlap() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.3, 0.9, 30)
    truth_rng = np.random.default_rng(5)
    low = counts(np.random.default_rng(5), 30, accuracy)
    high = counts(truth_rng, 30, accuracy + 0.03)

    found = compare_scores({"low": [low], "high": [high]})

    assert found.intervals["low"][1] > found.intervals["high"][0]
    (pair,) = found.differences
    assert (pair.first, pair.second) == ("low", "high")
    assert pair.interval[1] < 0
    assert pair.corrected_p < 0.01
    assert pair.is_significant


def test_the_same_predictions_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    same = counts(rng, 10, rng.random(10))  # as few images as give a p-value

    (pair,) = compare_scores({"a": [same], "b": [same]}).differences

    assert (pair.gain, pair.p, pair.corrected_p) == (0.0, 1.0, 1.0)
    assert not pair.is_significant


def test_the_p_value_is_that_of_the_normal_law_for_many_images() -> None:
    """One class: the mean IoU of a draw is a ratio of sums, close to normal with 400 images."""
    rng = np.random.default_rng(3)
    truth = np.full((400, 1), 1000)
    hits = [rng.binomial(1000, np.clip(rng.normal(m, 0.1, (400, 1)), 0, 1)) for m in (0.6, 0.614)]
    runs = {name: [(h, truth, h)] for name, h in zip("ab", hits, strict=True)}

    (pair,) = compare_scores(runs, resamples=20_000).differences

    differences = (hits[0] - hits[1])[:, 0] / 1000
    expected = 2 * norm.sf(abs(differences.mean()) / (differences.std() / math.sqrt(400)))
    assert pair.p == pytest.approx(expected, rel=0.25, abs=0.004)


def test_seeds_that_scatter_widen_the_interval_and_hide_a_small_gain() -> None:
    accuracy = np.full(40, 0.6)

    def run(shift: float) -> Counts:
        return counts(np.random.default_rng(1), 40, accuracy + shift)

    steady = compare_scores({"a": [run(0.0)] * 3, "b": [run(0.02)] * 3})
    scattered = compare_scores(
        {"a": [run(x) for x in (-0.1, 0.0, 0.1)], "b": [run(0.02 + x) for x in (-0.1, 0.0, 0.1)]}
    )

    assert steady.differences[0].is_significant
    assert not scattered.differences[0].is_significant
    widths = [found.intervals["a"][1] - found.intervals["a"][0] for found in (steady, scattered)]
    assert widths[1] > 3 * widths[0]


def trained(rng: np.random.Generator, hardness: np.ndarray, spread: float) -> Counts:
    """Make counts of one training: what all have in common, its seed's luck, and each image's."""
    images = len(hardness)
    accuracy = hardness + rng.normal(0, spread) + rng.normal(0, 0.05, images)
    truth = np.full((images, 2), 500)
    hits = rng.binomial(500, np.clip(accuracy, 0, 1)[:, None].repeat(2, axis=1))
    return hits, truth, hits + (truth - hits)[:, ::-1]


@pytest.mark.parametrize(("networks", "seeds"), [(2, 3), (2, 2), (4, 3)])
def test_equal_networks_are_seldom_called_different(networks: int, seeds: int) -> None:
    """Simulated from one law; drawing the seeds anew calls 12 to 32 % of them different."""
    wrong = 0
    for trial in range(200):
        rng = np.random.default_rng([networks, seeds, trial])
        hardness = rng.normal(0.7, 0.1, 100)
        runs = {
            str(n): [trained(rng, hardness, 0.02) for _ in range(seeds)] for n in range(networks)
        }
        found = compare_scores(runs, resamples=200, seed=trial)
        wrong += any(pair.is_significant for pair in found.differences)

    assert wrong / 200 <= 0.10


def test_a_difference_far_beyond_the_seeds_is_found_with_three_of_them() -> None:
    found = 0
    for trial in range(50):
        rng = np.random.default_rng([7, trial])
        hardness = rng.normal(0.7, 0.1, 100)
        runs = {
            name: [trained(rng, hardness + gain, 0.01) for _ in range(3)]
            for name, gain in (("a", 0.0), ("b", 0.08))
        }
        found += compare_scores(runs, resamples=200, seed=trial).differences[0].is_significant

    assert found >= 45


def test_seeds_without_doubt_about_images_are_welchs_test() -> None:
    """Every image alike: no draw differs from another, so the seeds are all there is."""
    rng = np.random.default_rng(4)

    def alike(accuracy: float) -> Counts:
        hits = np.full((20, 1), round(10_000 * accuracy))
        return hits, np.full((20, 1), 10_000), hits

    a, b = rng.normal(0.7, 0.02, 4).round(4), rng.normal(0.73, 0.01, 3).round(4)

    (pair,) = compare_scores(
        {"a": [alike(x) for x in a], "b": [alike(x) for x in b]}, resamples=50
    ).differences

    expected = ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert pair.p == pytest.approx(expected.pvalue)
    assert pair.interval == pytest.approx((interval.low, interval.high))


def test_fewer_than_ten_images_and_one_seed_give_no_p_value() -> None:
    accuracy = np.full(9, 0.5)
    runs = {
        n: [counts(np.random.default_rng(2), 9, accuracy + 0.2 * i)] for i, n in enumerate("ab")
    }

    (pair,) = compare_scores(runs).differences

    assert math.isnan(pair.p)
    assert math.isnan(pair.corrected_p)
    assert not pair.is_significant


def test_a_pair_without_a_p_value_is_no_test_to_correct_for() -> None:
    first, none, second = holm([0.01, math.nan, 0.04])

    assert (first, second) == pytest.approx((0.02, 0.04))
    assert math.isnan(none)


@pytest.mark.parametrize("pairs", [1, 100, 231, 253, 4950])  # of 2, 23 and 100 networks too
def test_the_least_p_value_is_significant_however_many_pairs_are_corrected(pairs: int) -> None:
    draws = enough_draws(pairs)

    least = p_value(np.full(draws, 0.1))  # every draw on one side
    assert holm([least, *[1.0] * (pairs - 1)])[0] < LEVEL
    assert draws >= 10_000


def test_a_certain_difference_among_many_networks_is_significant() -> None:
    accuracy = np.full(20, 0.3)
    runs = {
        f"n{i:02}": [counts(np.random.default_rng(2), 20, accuracy + 0.02 * i)] for i in range(23)
    }

    pairs = compare_scores(runs).differences

    assert len(pairs) == 253
    assert all(pair.is_significant for pair in pairs)


def test_three_networks_are_three_pairs_corrected_together() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.3, 0.9, 12)
    runs = {
        n: [counts(np.random.default_rng(2), 12, accuracy + 0.01 * i)] for i, n in enumerate("abc")
    }

    pairs = compare_scores(runs).differences

    assert [(p.first, p.second) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.corrected_p for p in pairs] == pytest.approx(holm([p.p for p in pairs]))
