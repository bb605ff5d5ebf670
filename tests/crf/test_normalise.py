"""Kernels as they are applied: rows that sum to 1, and what a pixel receives of itself."""

import dataclasses

import numpy as np
import pytest
import torch

from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.engine import make_kernel
from atrous.crf.gaussian import ExactGaussian
from atrous.crf.lattice import build_lattice
from atrous.crf.lattice_torch import LatticeGaussian
from atrous.crf.normalise import Normalised
from atrous.crf.threads import Team

from .conftest import made_image, smooth_probabilities


def noisy_image(height, width, seed=0, sigma=25):
    """Return an image in which hardly two pixels lie in one simplex of colours."""
    noise = np.random.default_rng(seed).normal(0, sigma, (height, width, 3))
    return (made_image(height, width, seed) + noise).clip(0, 255).astype(np.uint8)


def points_of(image, xy_std, rgb_std):
    height, width, _ = image.shape
    y, x = np.mgrid[:height, :width]
    places = np.stack([x, y], 2).reshape(-1, 2) / xy_std
    points = np.concatenate([places, image.reshape(-1, 3) / rgb_std], 1)
    return torch.from_numpy(points.astype(np.float32))[None]


def lattice_of(image, xy_std, rgb_std):
    """Build the compiled lattice; an image of at most 32 columns keeps the order of its pixels."""
    stds = np.array([xy_std] * 2 + [rgb_std] * 3, np.float32)
    return build_lattice(image, np.zeros((0, *image.shape[:2]), np.float32), stds, Team(1))


@pytest.mark.parametrize("make", [ExactGaussian, LatticeGaussian])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_rows_of_a_kernel_normalised_after_sum_to_1(make, exclude_self):
    gaussian = make(points_of(made_image(24, 30), 10, 20))
    ones = torch.ones(1, 24 * 30, 1)

    filtered = Normalised(gaussian, ones, "after", exclude_self)(ones)

    torch.testing.assert_close(filtered, ones, atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [ExactGaussian, LatticeGaussian])
def test_a_symmetric_kernel_has_the_factors_of_a_row_and_a_column(make):
    """D^-1/2 K D^-1/2 applied to D^1/2 1 gives D^1/2 1: its largest eigenvalue is 1."""
    gaussian = make(points_of(made_image(24, 30), 10, 20))
    ones = torch.ones(1, 24 * 30, 1)
    roots = gaussian(ones).sqrt()

    filtered = Normalised(gaussian, ones, "symmetric", False)(roots)

    torch.testing.assert_close(filtered / roots, ones, atol=1e-5, rtol=0)


def test_rows_of_the_compiled_kernel_sum_to_its_weight():
    lattice = lattice_of(made_image(40, 30), 10, 20)
    kernel = make_kernel(lattice, 3.0, 2, "after", False, Team(1))

    sums = kernel.after * lattice.mass(Team(1)) * kernel.before

    np.testing.assert_allclose(sums, 3, rtol=1e-5)


@pytest.mark.parametrize("rgb_std", [3, 20])
def test_what_a_pixel_receives_of_itself(rgb_std):
    """Send a 1 from one pixel through the filter, and see what comes back."""
    image = noisy_image(20, 25)
    gaussian = LatticeGaussian(points_of(image, 6, rgb_std))
    pixels = np.random.default_rng(0).choice(500, 60, replace=False)
    alone = torch.zeros(1, 500, 60)
    alone[0, pixels, np.arange(60)] = 1
    received = gaussian(alone)[0, pixels, np.arange(60)]

    torch.testing.assert_close(gaussian.self_response[0, pixels, 0], received)
    compiled = lattice_of(image, 6, rgb_std).own(Team(2))[pixels]
    np.testing.assert_allclose(compiled, received, atol=2e-3)  # rounding moves a vertex


def test_without_itself_no_message_is_larger_than_the_kernel_s_weight():
    """Where a pixel has hardly a neighbour, a share that is off leaves a mass near 0."""
    image, unary = noisy_image(24, 32), smooth_probabilities(2, 24, 32, contrast=1)
    crf = DenseCRF(Appearance(5, 50, 3), None, iterations=1, exclude_self=True)

    q = crf(image, unary)

    message = np.log(q[0] / q[1]) - np.log(unary[0] / unary[1])
    assert np.abs(message).max() < 5.01


@pytest.mark.parametrize("seed", range(3))
def test_without_itself_labels_are_nearer_the_exact_ones_than_with_itself(seed):
    """Where neighbours are few and weak the lattice is coarse, but the self term matters more."""
    image = noisy_image(24, 32, seed, sigma=10)
    unary = smooth_probabilities(2, 24, 32, contrast=1)
    crf = DenseCRF(Appearance(5, 50, 3), None, iterations=1, exclude_self=True)
    exact = dataclasses.replace(crf, filter="exact")(image, unary).argmax(0)

    wrong = (crf(image, unary).argmax(0) != exact).mean()

    with_itself = dataclasses.replace(crf, exclude_self=False)(image, unary)
    assert wrong < 0.9 * (with_itself.argmax(0) != exact).mean()
    assert wrong < 0.9 * (unary.argmax(0) != exact).mean()


@pytest.mark.parametrize("size", [(1, 37), (41, 1), (2, 31)])
def test_smoothness_of_thin_images_is_near_the_exact_sum(size):
    image, unary = made_image(*size), smooth_probabilities(3, *size)
    crf = DenseCRF(None, Smoothness(3, 3))

    exact = DenseCRF(None, Smoothness(3, 3), filter="exact")(image, unary)

    assert np.abs(crf(image, unary) - exact).mean() < 0.02
