import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.inference import Predictor
from atrous.inference.tiling import starts, tiled, window_weights


@settings(deadline=None)
@given(length=st.integers(1, 3000), tile=st.integers(64, 1024))
def test_windows_cover_every_pixel_overlap_and_start_on_the_stride(length, tile):
    places = starts(length, tile)
    assert places[0] == 0
    assert all(place % 32 == 0 for place in places)
    assert places[-1] + tile >= length
    assert places[-1] < length
    for one, two in itertools.pairwise(places):
        assert one < two < one + tile


@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_weights_are_symmetric_positive_and_highest_in_the_middle(length):
    weights = window_weights(length)
    assert (weights > 0).all()
    assert torch.equal(weights, weights.flip(0))
    assert weights[length // 2] == weights.max() == 1


def test_a_pixelwise_function_comes_through_unchanged():
    image = np.random.default_rng(0).random((301, 410, 2), dtype=np.float32)

    def predict(window):
        return torch.from_numpy(window).permute(2, 0, 1)

    rows = 0
    for top, strip in tiled(image, (128, 96), predict):
        assert top == rows
        rows += strip.shape[1]
        np.testing.assert_allclose(strip.permute(1, 2, 0), image[top:rows], atol=1e-6)
    assert rows == 301


def test_blending_equals_the_weighted_mean_of_all_windows():
    """Against a slow accumulator over the whole image: one loop, two full arrays."""
    image = np.zeros((200, 170, 1), np.float32)
    values = iter(np.random.default_rng(0).random(1000))
    seen = []

    def predict(window):
        seen.append(next(values))
        return torch.full((1, *window.shape[:2]), seen[-1])

    blended = torch.cat([strip for _, strip in tiled(image, (96, 64), predict)], dim=1)
    total, weight = np.zeros((200, 170)), np.zeros((200, 170))
    used = iter(seen)
    for top in starts(200, 96):
        for left in starts(170, 64):
            height, width = min(96, 200 - top), min(64, 170 - left)
            window = np.outer(window_weights(height), window_weights(width))
            total[top : top + height, left : left + width] += window * next(used)
            weight[top : top + height, left : left + width] += window
    np.testing.assert_allclose(blended[0], total / weight, atol=1e-5)


def test_the_network_never_sees_more_than_a_tile(model, photo):
    predictor = Predictor(model, tile=(64, 96), device="cpu")
    sizes = []
    model.stem.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[-2:]))
    labels = predictor(photo).labels
    assert labels.shape == photo.shape[:2]
    assert len(sizes) > 4
    assert all(height <= 64 and width <= 96 for height, width in sizes)


def test_tiles_agree_with_the_whole_image_away_from_borders(model):
    """Sides divisible by the stride: both see the same score grid, only zero padding differs."""
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8), np.ones((32, 32, 1), "u1"))
    whole = Predictor(model, device="cpu")(photo, probabilities=True)
    parts = Predictor(model, tile=128, device="cpu")(photo, probabilities=True)
    assert np.abs(whole.probabilities - parts.probabilities).mean() < 0.01
    assert (whole.labels == parts.labels).mean() > 0.98


def test_an_image_that_fits_into_a_tile_is_taken_whole(model, photo):
    whole = Predictor(model, device="cpu")(photo).labels
    np.testing.assert_array_equal(Predictor(model, tile=256, device="cpu")(photo).labels, whole)
