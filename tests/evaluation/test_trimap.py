import numpy as np
import pytest

from atrous.errors import InputError
from atrous.evaluation.confusion import confusion_matrix
from atrous.evaluation.scores import mean_iou, three_counts
from atrous.evaluation.trimap import WIDTHS, band_counts
from atrous.evaluation.trimap_kernel import BLOCK, squared_distances
from atrous.labels import VOID


def made_labels(rng, size, classes=(0, 1, 2, VOID)):
    height, width = size
    coarse = rng.choice(classes, (-(-height // 4), -(-width // 4)))
    return np.kron(coarse, np.ones((4, 4)))[:height, :width].astype(np.uint8)


def slow_distances(labels):
    """Compare every pixel with every other one; infinity where all have one label."""
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    found = np.full(labels.shape, np.inf)
    for y, x in np.ndindex(labels.shape):
        other = labels != labels[y, x]
        if other.any():
            found[y, x] = np.hypot(rows[other] - y, columns[other] - x).min()
    return found


def distances_of(labels, reach):
    squared = np.empty(labels.shape, np.int16)
    squared_distances(labels, reach, squared)
    return squared


@pytest.mark.parametrize("reach", [1, 2, 7, 40, BLOCK])
@pytest.mark.parametrize("seed", range(6))
def test_distances_are_those_of_comparing_all_pixels(seed, reach):
    rng = np.random.default_rng(seed)
    labels = made_labels(rng, rng.integers(1, 30, 2))
    expected = slow_distances(labels)
    near = expected <= reach
    squared = distances_of(labels, reach)
    np.testing.assert_array_equal(squared[near], np.rint(expected[near] ** 2))
    assert (squared[~near] > reach**2).all()


@pytest.mark.parametrize("size", [(90, 70), (150, 64), (70, 129), (40, 500)])
def test_distances_of_two_classes_are_those_of_scipy(size):
    """A few specks on a wide ground, so that distances are long and lie across the blocks."""
    from scipy import ndimage

    rng = np.random.default_rng(3)
    labels = (rng.random(size) < 0.001).astype(np.uint8)
    labels[size[0] // 2, size[1] // 3] = 1
    inside, outside = (ndimage.distance_transform_edt(labels == k) for k in (1, 0))
    expected = np.rint((inside + outside) ** 2)
    for reach in (40, BLOCK):
        assert (distances_of(labels, reach)[expected > reach**2] > reach**2).all()
        within = expected <= reach**2
        np.testing.assert_array_equal(distances_of(labels, reach)[within], expected[within])


@pytest.mark.parametrize("seed", range(4))
def test_every_width_counts_the_pixels_of_its_band(seed):
    rng = np.random.default_rng(seed)
    labels = made_labels(rng, (37, 41))
    predictions = rng.integers(0, 3, labels.shape).astype(np.uint8)
    distances = slow_distances(labels)

    bands = band_counts(predictions, labels, 3).cumsum(0)

    assert bands.shape == (40, 3, 3)
    for width in WIDTHS:
        inside = np.where(distances <= width, labels, VOID)
        expected = three_counts(confusion_matrix(predictions, inside, 3))
        np.testing.assert_array_equal(bands[width - 1], expected)


def test_a_wide_band_is_the_whole_image():
    rng = np.random.default_rng(0)
    labels = made_labels(rng, (30, 30), (0, 1, 2))
    predictions = rng.integers(0, 3, labels.shape).astype(np.uint8)
    whole = confusion_matrix(predictions, labels, 3)
    np.testing.assert_array_equal(band_counts(predictions, labels, 3).sum(0), three_counts(whole))
    assert 0 < mean_iou(whole) < 1


def test_the_band_of_deeplab_is_the_dilated_void():
    """Where void surrounds an object, against OpenCV's dilation of the void by a disk."""
    import cv2

    labels = np.zeros((80, 80), np.uint8)
    cv2.circle(labels, (40, 40), 20, 1, -1)
    cv2.circle(labels, (40, 40), 20, VOID, 5)
    void = (labels == VOID).astype(np.uint8)
    for width in (1, 3, 7):
        side = np.arange(-width, width + 1)
        disk = (side[:, None] ** 2 + side**2 <= width**2).astype(np.uint8)
        band = (cv2.dilate(void, disk) > 0) & (void == 0)
        counts = band_counts(labels * (void == 0), labels, 2)[:width].sum(0)
        assert counts[1].tolist() == np.bincount(labels[band], minlength=2).tolist()


def test_an_image_of_one_label_has_no_band():
    labels = np.zeros((20, 20), np.uint8)
    assert not band_counts(labels, labels, 2).any()
    assert not band_counts(labels, np.full_like(labels, VOID), 2).any()


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="give two maps"):
        band_counts(np.zeros((4, 5), int), np.zeros((5, 4), int), 2)
