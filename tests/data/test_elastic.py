import cv2
import numpy as np
import pytest

from atrous.data.elastic import bent, interpolated, random_displacements
from atrous.data.warp import warp_image, warp_labels

TURNED = np.array([[0.81, 0.23, -6.3], [-0.19, 0.77, 4.1]])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_displacements_are_normal_with_the_papers_spread():
    rng = np.random.default_rng(0)
    drawn = np.array([random_displacements(rng, 10.0) for _ in range(4000)])
    assert drawn.shape == (4000, 3, 3, 2)
    # standard errors: 0.16 of the mean, 0.11 of the spread
    assert np.abs(drawn.mean(axis=0)).max() < 0.7
    assert np.abs(drawn.std(axis=0) - 10).max() < 0.5
    flat = drawn.reshape(4000, 18)
    assert np.abs(np.corrcoef(flat.T) - np.eye(18)).max() < 0.08  # each by itself


def test_the_field_passes_through_its_nodes():
    nodes = random_displacements(np.random.default_rng(1), 10.0)
    field = interpolated(nodes, (41, 61))
    assert field.shape == (41, 61, 2)
    assert np.abs(field[::20, ::30] - nodes).max() < 1e-5


def keys(t):
    """The cubic of Keys (1981), eq. 15."""
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


@pytest.mark.parametrize("size", [(7, 12), (1, 5), (2, 2)])
def test_between_nodes_the_field_is_bicubic(size):
    nodes = random_displacements(np.random.default_rng(2), 10.0)
    field = interpolated(nodes, size)
    for row, column in np.ndindex(*size):
        y, x = (
            2 * place / (length - 1) if length > 1 else 1.0
            for place, length in zip((row, column), size, strict=True)
        )
        expected = sum(
            keys(y - i) * keys(x - j) * nodes[min(max(i, 0), 2), min(max(j, 0), 2)]
            for i in range(-2, 5)
            for j in range(-2, 5)
        )
        assert np.abs(field[row, column] - expected).max() < 1e-4


def test_places_are_the_matrix_applied_to_moved_pixels():
    nodes = random_displacements(np.random.default_rng(3), 10.0)
    moved = interpolated(nodes, (20, 30))  # in pixels of the result
    found = bent(TURNED, interpolated(nodes @ TURNED[:, :2].T, (20, 30)))
    for row, column in np.ndindex(20, 30):
        dx, dy = moved[row, column]
        expected = TURNED @ (column + dx, row + dy, 1)
        assert np.abs(found[row, column] - expected).max() < 1e-3


def test_the_displacement_is_not_changed():
    field = np.ones((4, 5, 2), np.float32)
    bent(TURNED, field)
    assert (field == 1).all()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_no_displacement_is_the_affine_warp(channels):
    image, labels, size = noise(40, 50, channels), noise(40, 50, seed=1), (31, 27)
    still = bent(TURNED, np.zeros((*size, 2), np.float32))
    fill = tuple(range(channels))
    straight = warp_image(image, TURNED, size, fill=fill).astype(int)
    # OpenCV before 5.0 rounds places to 1/32 of a pixel, in the one as in the other
    found = warp_image(image, still, size, fill=fill)
    assert np.abs(found - straight).max() <= (1 if cv2.__version__ >= "5" else 17)
    same = warp_labels(labels, still, size) == warp_labels(labels, TURNED, size)
    assert same.mean() > 0.995  # but for ties
