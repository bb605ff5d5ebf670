"""What is drawn of a crop's geometry: zoom, angle, mirror and centre follow their distributions."""

import numpy as np
import pytest

from atrous.data.random_matrix import random_matrix


def test_drawn_matrices_follow_their_distributions():
    rng = np.random.default_rng(0)
    matrices = np.array(
        [random_matrix(rng, (100, 120), (64, 64), rotation=10, flip=0.25) for _ in range(4000)]
    )
    determinant = np.linalg.det(matrices[:, :, :2])
    scale = np.abs(determinant) ** -0.5
    angle = np.degrees(np.arctan2(matrices[:, 0, 1], matrices[:, 1, 1]))
    assert (determinant < 0).mean() == pytest.approx(0.25, abs=0.03)
    for values, low, high in ((scale, 0.5, 2.0), (angle, -10.0, 10.0)):
        quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        assert np.allclose(quantiles, np.linspace(low, high, 5), atol=0.03 * (high - low))


def test_the_crop_turns_about_its_own_centre():
    centre = np.array([31.5, 31.5, 1])
    draws = [
        random_matrix(
            np.random.default_rng(1), (100, 120), (64, 64), scale_range=(1.3, 1.3), rotation=angle
        )
        for angle in (0.0, 40.0)
    ]
    assert np.allclose(draws[0] @ centre, draws[1] @ centre)
    assert not np.allclose(draws[0], draws[1])


def test_stepped_zooms_are_the_releases_and_all_alike_often():
    rng = np.random.default_rng(0)
    drawn = [
        random_matrix(rng, (100, 120), (64, 64), scale_range=(0.5, 2.0), scale_step=0.25)
        for _ in range(7000)
    ]
    scale = np.abs(np.linalg.det(np.array(drawn)[:, :, :2])) ** -0.5
    values, counts = np.unique(scale.round(6), return_counts=True)
    assert values.tolist() == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]  # v3's release
    assert counts / 7000 == pytest.approx(1 / 7, abs=0.02)


def test_refinenets_zooms_reach_both_ends():
    rng = np.random.default_rng(0)
    drawn = [
        random_matrix(rng, (9, 9), (9, 9), scale_range=(0.7, 1.3), scale_step=0.1)
        for _ in range(500)
    ]
    scale = np.abs(np.linalg.det(np.array(drawn)[:, :, :2])) ** -0.5
    assert sorted(set(scale.round(4))) == [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
