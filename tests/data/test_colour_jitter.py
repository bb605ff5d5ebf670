import math

import numpy as np
import pytest

from atrous.data.colour_jitter import random_colours, recolour


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def grey_of(image):
    return 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]


def clipped(values, white=255):
    return np.clip(values, 0, white)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_brightness_multiplies(channels, dtype):
    image = noise(20, 30, channels, dtype=dtype)
    found = recolour(image, (1.3, 1.0, 1.0, 0.0))
    assert found.dtype == dtype
    assert found.shape == image.shape
    assert np.abs(found - clipped(image * 1.3, np.iinfo(dtype).max)).max() <= 1


def test_contrast_of_a_colour_image_is_about_its_mean_grey():
    image = noise(20, 30, 3)
    mean = grey_of(image).mean()
    found = recolour(image, (1.0, 0.7, 1.0, 0.0))
    assert np.abs(found - clipped(mean + 0.7 * (image - mean))).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_contrast_of_other_images_is_about_each_channels_mean(channels):
    image = noise(20, 30, channels) // 2 + np.arange(channels, dtype=np.uint8) * 20
    mean = image.mean(axis=(0, 1))
    found = recolour(image, (1.0, 1.4, 1.0, 0.0))
    assert np.abs(found - clipped(mean + 1.4 * (image - mean))).max() <= 1


def test_saturation_scales_the_distance_from_grey():
    image = noise(20, 30, 3)
    grey = grey_of(image)[..., None]
    found = recolour(image, (1.0, 1.0, 0.6, 0.0))
    assert np.abs(found - (grey + 0.6 * (image - grey))).max() <= 1
    assert np.ptp(recolour(image, (1.0, 1.0, 0.0, 0.0)).astype(int), axis=2).max() <= 1


def test_hue_turns_the_colours_and_keeps_their_luma():
    image = noise(20, 30, 3) // 4 + np.uint8(96)  # far from the clip
    found = recolour(image, (1.0, 1.0, 1.0, math.pi))
    assert np.abs(grey_of(found) - grey_of(image)).max() <= 1.5
    chroma, turned = image - grey_of(image)[..., None], found - grey_of(found)[..., None]
    assert np.abs(turned + chroma).max() <= 2  # half a turn is the opposite colour


def test_changes_in_sequence_equal_their_one_matrix():
    image = noise(20, 30, 3) // 3 + np.uint8(80)  # no value is clipped on the way
    grey = grey_of(image)[..., None]
    step = grey + 1.2 * (image - grey)
    step = step * 0.9
    mean = grey_of(step).mean()
    assert np.abs(recolour(image, (0.9, 1.1, 1.2, 0.0)) - (mean + 1.1 * (step - mean))).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_saturation_and_hue_leave_images_without_colour_alone(channels):
    image = noise(20, 30, channels)
    assert (recolour(image, (1.0, 1.0, 0.2, 1.0)) == image).all()


def test_no_change_copies_the_image():
    image = noise(20, 30, 3)
    same = recolour(image, (1.0, 1.0, 1.0, 0.0))
    assert (same == image).all()
    assert not np.shares_memory(same, image)


def test_factors_are_uniform_in_their_range():
    rng = np.random.default_rng(0)
    draws = np.array(
        [
            random_colours(rng, brightness=0.2, contrast=0.4, saturation=1.0, hue=0.1)
            for _ in range(4000)
        ]
    )
    turn = 0.2 * math.pi
    assert np.allclose(draws.min(axis=0), [0.8, 0.6, 0, -turn], atol=0.01)
    assert np.allclose(draws.max(axis=0), [1.2, 1.4, 2, turn], atol=0.01)
    assert np.allclose(draws.mean(axis=0), [1, 1, 1, 0], atol=0.03)


def test_widths_of_zero_draw_no_change():
    rng = np.random.default_rng(0)
    assert random_colours(rng, brightness=0, contrast=0, saturation=0) == (1, 1, 1, 0)
