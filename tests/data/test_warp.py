import math

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.data.loader_worker import prepare_worker
from atrous.data.warp import smooth_before_warp, warp_image, warp_labels

TURNED = np.array([[0.81, 0.23, -6.3], [-0.19, 0.77, 4.1]])


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def linear_by_hand(image, matrix, size, fill):
    height, width, channels = image.shape
    result = np.empty((*size, channels))

    def value(row, column):
        inside = 0 <= row < height and 0 <= column < width
        return image[row, column].astype(float) if inside else np.array(fill, float)

    for row, column in np.ndindex(*size):
        x, y = matrix @ (column, row, 1)
        left, top = math.floor(x), math.floor(y)
        result[row, column] = (top + 1 - y) * (
            (left + 1 - x) * value(top, left) + (x - left) * value(top, left + 1)
        ) + (y - top) * (
            (left + 1 - x) * value(top + 1, left) + (x - left) * value(top + 1, left + 1)
        )
    return result


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_image_is_linearly_interpolated_and_filled_outside(channels):
    image, fill = noise(19, 23, channels), tuple(range(10, 10 + 40 * channels, 40))
    expected = linear_by_hand(image, TURNED, (31, 27), fill)
    found = warp_image(image, TURNED, (31, 27), fill=fill)
    assert found.shape == (31, 27, channels)
    assert found.dtype == np.uint8
    # OpenCV before 5.0 rounds places to 1/32 of a pixel
    assert np.abs(found - expected).max() <= (1 if cv2.__version__ >= "5" else 17)


def test_sixteen_bits_keep_their_depth():
    image = noise(19, 23, 3, dtype=np.uint16)
    expected = linear_by_hand(image, TURNED, (31, 27), (500, 40000, 65535))
    found = warp_image(image, TURNED, (31, 27), fill=(500, 40000, 65535))
    assert found.dtype == np.uint16
    assert np.abs(found - expected).max() <= (16 if cv2.__version__ >= "5" else 4100)


def test_labels_are_those_of_the_nearest_pixel():
    labels = noise(19, 23)
    found = warp_labels(labels, TURNED, (31, 27), ignore_index=77)
    for row, column in np.ndindex(31, 27):
        x, y = TURNED @ (column, row, 1)
        if min(abs(x % 1 - 0.5), abs(y % 1 - 0.5)) < 1e-3:
            continue  # a tie but for rounding
        i, j = math.floor(y + 0.5), math.floor(x + 0.5)
        inside = 0 <= i < 19 and 0 <= j < 23
        assert found[row, column] == (labels[i, j] if inside else 77)


def test_the_same_matrix_drives_grid_sample():
    image, size = noise(40, 48, 3), (30, 36)
    to_unit = np.array([[2 / 48, 0, 1 / 48 - 1], [0, 2 / 40, 1 / 40 - 1], [0, 0, 1]])
    from_unit = np.array([[36 / 2, 0, 36 / 2 - 0.5], [0, 30 / 2, 30 / 2 - 0.5], [0, 0, 1]])
    theta = (to_unit @ np.vstack([TURNED, [0, 0, 1]]) @ from_unit)[:2]
    grid = functional.affine_grid(torch.tensor(theta)[None], [1, 3, *size], align_corners=False)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].double()
    sampled = functional.grid_sample(pixels, grid, align_corners=False)[0].permute(1, 2, 0).numpy()
    found = warp_image(image, TURNED, size, fill=(0, 0, 0))
    assert np.abs(found - sampled).max() <= (1 if cv2.__version__ >= "5" else 17)


def test_whole_pixels_are_copied_not_interpolated():
    image, labels = noise(40, 50, 3), noise(40, 50)
    mirrored = np.array([[-1.0, 0, 40], [0, 1, 7]])
    expected = (slice(7, 27), slice(40, 10, -1))
    assert (warp_image(image, mirrored, (20, 30), fill=(0, 0, 0)) == image[expected]).all()
    assert (warp_labels(labels, mirrored, (20, 30)) == labels[expected]).all()


@pytest.mark.parametrize("zoom", [0.2, 0.3, 0.5, 0.6])
def test_smoothing_before_a_shrinking_warp_removes_aliasing(zoom):
    image = cv2.GaussianBlur(noise(160, 200, 3), (0, 0), 0.7)
    size = (round(160 * zoom), round(200 * zoom))
    matrix = np.array([[0.995, 0.1, 0], [-0.1, 0.995, 0]]) / zoom
    samples = [
        warp_image(
            image.astype(np.float32),
            matrix + np.column_stack([np.zeros((2, 2)), matrix[:, :2] @ (x, y)]),
            size,
            fill=(128, 128, 128),
        )
        for x in np.arange(-7, 8, 2) / 16
        for y in np.arange(-7, 8, 2) / 16
    ]
    inside = warp_labels(np.zeros((160, 200), np.uint8), matrix, size) == 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))).astype(bool)

    def error(found):
        return np.sqrt(np.mean((found - np.mean(samples, axis=0))[inside] ** 2))

    plain = warp_image(image, matrix, size, fill=(128, 128, 128))
    smooth = warp_image(smooth_before_warp(image, matrix), matrix, size, fill=(128, 128, 128))
    assert error(smooth) < 0.6 * error(plain)


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
@pytest.mark.parametrize("zoom", [0.1, 0.6])
def test_smoothing_keeps_shape_mean_and_place(channels, zoom):
    image = np.zeros((61, 61, channels), np.uint16)
    image[30, 30] = 60_000
    smooth = smooth_before_warp(image, np.array([[1, 0, 0], [0, 1, 0]]) / zoom)
    assert smooth.shape == image.shape
    assert smooth.dtype == image.dtype
    assert (smooth == smooth[::-1]).all()
    assert (smooth == smooth[:, ::-1]).all()
    assert smooth[30, 30].max() < 50_000
    assert np.allclose(smooth.sum(axis=(0, 1)), 60_000, rtol=0.01)


@pytest.mark.parametrize("zoom", [0.9, 1.0, 2.0])
def test_a_warp_that_hardly_shrinks_or_enlarges_needs_no_smoothing(zoom):
    image = noise(20, 20, 3)
    assert smooth_before_warp(image, np.array([[1, 0, 0], [0, 1, 0]]) / zoom) is image


def test_a_prepared_worker_takes_one_thread():
    before = cv2.getNumThreads()
    try:
        prepare_worker(3)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
