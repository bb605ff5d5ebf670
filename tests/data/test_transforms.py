import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.colour_jitter import random_colours
from atrous.data.elastic import bent, interpolated, random_displacements
from atrous.data.random_matrix import random_matrix
from atrous.data.transforms import JointTransform, fill_values
from atrous.data.warp import smooth_before_warp, warp_image, warp_labels
from atrous.errors import InputError
from atrous.ops import Normalization

PALETTE = np.random.default_rng(7).integers(0, 256, (5, 3), np.uint8)


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def blocks(height, width, *, side=24, seed=0):
    """Return labels 0..4 in blocks, and the image that paints each label in its colour."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, (height // side + 1, width // side + 1), np.uint8)
    labels = np.kron(coarse, np.ones((side, side), np.uint8))[:height, :width]
    return PALETTE[labels], labels


def still(crop_size, **changes):
    """Return a transform that only crops, but for `changes`."""
    nothing = {"scale_range": (1.0, 1.0), "rotation": 0.0, "flip": 0.0}
    nothing |= {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    return JointTransform(crop_size, **(nothing | changes))


def test_a_flip_is_bit_equal_to_slicing():
    image, labels = noise(37, 50, 3), noise(37, 50, seed=1)
    flipped, flipped_labels = still(None, flip=1.0)(image, labels, np.random.default_rng(0))
    assert (flipped == image[:, ::-1]).all()
    assert (flipped_labels == labels[:, ::-1]).all()


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("crop", [(20, 31), (21, 30), (37, 50), (1, 1)])
def test_a_crop_is_bit_equal_to_slicing(crop, flip):
    rows, columns = np.mgrid[:37, :50]
    image = np.dstack([rows, columns, noise(37, 50)]).astype(np.uint8)
    labels = noise(37, 50, seed=1)
    corners = set()
    for seed in range(40):
        crop_image, crop_labels = still(crop, flip=flip)(image, labels, np.random.default_rng(seed))
        top, left = crop_image[0, :, 0].min(), crop_image[0, :, 1].min()
        corners.add((int(top), int(left)))
        part = np.s_[top : top + crop[0], left : left + crop[1]]
        step = -1 if flip else 1
        assert (crop_image == image[part][:, ::step]).all()
        assert (crop_labels == labels[part][:, ::step]).all()
    if crop == (20, 31):
        assert len(corners) > 30
        assert {0, 17} <= {top for top, _ in corners}  # the whole range, both ends included


@pytest.mark.parametrize("crop", [(45, 64), (45, 20), (20, 64)])
def test_a_crop_larger_than_the_image_pads_with_void(crop):
    image, labels = noise(37, 50, 3), noise(37, 50, seed=1) % 5
    for seed in range(10):
        rng = np.random.default_rng(seed)
        padded, padded_labels = still(crop, fill=(1, 2, 3))(image, labels, rng)
        shown = padded_labels != 255
        height, width = min(crop[0], 37), min(crop[1], 50)
        assert shown.sum() == height * width
        assert (padded[~shown] == (1, 2, 3)).all()
        found = padded[shown].reshape(height, width, 3)
        windows = np.lib.stride_tricks.sliding_window_view(image, (height, width), axis=(0, 1))
        assert (windows == found.transpose(2, 0, 1)).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize("scale", [0.25, 0.5, 0.6, 1.0, 1.7, 3.0])
def test_image_and_labels_stay_aligned(scale):
    image, labels = blocks(150, 200)
    transform = still((128, 128), scale_range=(scale, scale), rotation=30.0, flip=0.5, fill=0)
    colours = np.vstack([PALETTE, np.zeros((251, 3), np.uint8)])
    colours[5:255] = 99  # no such label
    for seed in range(5):
        moved, moved_labels = transform(image, labels, np.random.default_rng(seed))
        assert set(np.unique(moved_labels)) <= {0, 1, 2, 3, 4, 255}
        padded = np.pad(moved_labels, 2, constant_values=254)
        around = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        inner = (around == moved_labels[..., None, None]).all(axis=(2, 3))
        assert inner.mean() > 0.1
        assert np.abs(moved.astype(int) - colours[moved_labels])[inner].max() <= 1


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4, 2.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_edge_of_a_label_is_where_the_image_is_half_way(scale, axis):
    labels = np.indices((150, 200), np.uint8)[axis] // 11 % 2  # stripes: black 0, white 1
    image = 255 * labels[..., None]
    transform = still((128, 128), scale_range=(scale, scale), rotation=20.0, flip=0.5)
    for seed in range(5):
        moved, moved_labels = transform(image, labels, np.random.default_rng(seed))
        value = moved[..., 0].astype(int)
        around = np.lib.stride_tricks.sliding_window_view(
            np.pad(moved_labels, 1, constant_values=255), (3, 3)
        )
        clear = (around != 255).all(axis=(2, 3)) & (np.abs(value - 127.5) > 2)
        assert clear.mean() > 0.2
        assert ((value > 127) == moved_labels)[clear].all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_any_number_of_channels_and_both_depths(channels, dtype):
    image, labels = noise(60, 80, channels, dtype=dtype), noise(60, 80) % 5
    moved, moved_labels = JointTransform((64, 48))(image, labels, np.random.default_rng(1))
    assert moved.shape == (64, 48, channels)
    assert moved.dtype == dtype
    assert moved_labels.shape == (64, 48)
    assert moved_labels.dtype == np.uint8
    assert moved.flags["C_CONTIGUOUS"]


def test_each_channel_is_warped_like_a_grey_image():
    image, labels = noise(60, 80, 6), noise(60, 80) % 5
    transform = JointTransform((64, 48), saturation=0, fill=9)
    together, _ = transform(image, labels, np.random.default_rng(1))
    for channel in range(6):
        alone, _ = transform(image[..., channel : channel + 1], labels, np.random.default_rng(1))
        assert (together[..., channel] == alone[..., 0]).all()


def test_the_same_generator_state_gives_the_same_bytes():
    image, labels = noise(60, 80, 3), noise(60, 80)
    transform = JointTransform((64, 48), hue=0.1)
    first, again, other = (transform(image, labels, np.random.default_rng(s)) for s in (5, 5, 6))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_colour_settings_do_not_change_the_geometry():
    image, labels = noise(60, 80, 3), noise(60, 80)
    _, plain = still((64, 48), rotation=5.0)(image, labels, np.random.default_rng(2))
    bright = still((64, 48), rotation=5.0, brightness=0.5, hue=0.5)
    assert (bright(image, labels, np.random.default_rng(2))[1] == plain).all()


@pytest.mark.parametrize("change", [{}, {"scale_range": (0.3, 3.0)}, {"brightness": 0.5}])
def test_inputs_are_never_changed_and_never_returned(change):
    image, labels = noise(60, 80, 3), noise(60, 80)
    before = image.copy(), labels.copy()
    image.setflags(write=False)
    labels.setflags(write=False)
    moved, moved_labels = still(None, **change)(image, labels, np.random.default_rng(0))
    assert (image == before[0]).all()
    assert (labels == before[1]).all()
    moved[:], moved_labels[:] = 0, 0  # the result is the caller's to write on
    assert not np.shares_memory(moved, image)
    assert not np.shares_memory(moved_labels, labels)


def test_views_of_any_layout_are_read_right():
    image, labels = noise(60, 80, 3), noise(60, 80)
    transform = JointTransform((64, 48))
    expected = transform(image[:, ::-1].copy(), labels[:, ::-1].copy(), np.random.default_rng(0))
    found = transform(image[:, ::-1], labels[:, ::-1], np.random.default_rng(0))
    assert (found[0] == expected[0]).all()
    assert (found[1] == expected[1]).all()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_padding_is_zero_after_normalisation(channels, dtype, white):
    image = np.full((4, 4, channels), white, dtype)
    transform = JointTransform((40, 40), brightness=0.9, contrast=0.9)
    padded, labels = transform(image, np.zeros((4, 4), np.uint8), np.random.default_rng(0))
    figures = Normalization.for_channels(channels)
    normalised = (padded[labels == 255][0] / white - figures.mean) / figures.std
    assert np.abs(normalised).max() < 0.01


def test_no_crop_size_keeps_each_images_own():
    image, labels = noise(60, 80, 3), noise(60, 80)
    moved, moved_labels = JointTransform(None)(image, labels, np.random.default_rng(0))
    assert moved.shape == image.shape
    assert moved_labels.shape == labels.shape


def test_scenes_wider_than_opencvs_limit_are_cropped():
    image, labels = noise(8, 40_000, 1), noise(8, 40_000)
    moved, moved_labels = still((8, 16))(image, labels, np.random.default_rng(0))
    assert moved.shape == (8, 16, 1)
    assert (moved_labels != 255).any()


@settings(max_examples=60, deadline=None)
@given(
    image_size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop_size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    scale=st.floats(0.05, 8),
    rotation=st.floats(0, 180),
    seed=st.integers(0, 2**32),
)
def test_any_size_scale_and_rotation_is_survived(image_size, crop_size, scale, rotation, seed):
    image, labels = np.full((*image_size, 3), 200, np.uint8), np.zeros(image_size, np.uint8)
    transform = still(crop_size, scale_range=(scale, scale), rotation=rotation, fill=200)
    moved, moved_labels = transform(image, labels, np.random.default_rng(seed))
    assert moved.shape == (*crop_size, 3)
    assert (moved == 200).all()
    assert set(np.unique(moved_labels)) <= {0, 255}


@pytest.mark.parametrize("scale", [0.2, 0.4, 0.66, 1.0, 2.0])
@pytest.mark.parametrize("rotation", [0.0, 10.0, 45.0])
def test_inside_the_image_nothing_of_the_fill_is_seen(scale, rotation):
    image, labels = np.full((300, 300, 3), 200, np.uint8), np.zeros((300, 300), np.uint8)
    transform = still((31, 31), scale_range=(scale, scale), rotation=rotation, fill=0)
    rows, columns = np.mgrid[:31, :31]
    for seed in range(20):
        moved, moved_labels = transform(image, labels, np.random.default_rng(seed))
        matrix = random_matrix(
            np.random.default_rng(seed),
            (300, 300),
            (31, 31),
            scale_range=(scale, scale),
            rotation=rotation,
            flip=0.0,
        )
        places = np.einsum("ij,jrc->irc", matrix, np.stack([columns, rows, np.ones_like(rows)]))
        inside = np.abs(places - 149.5).max(axis=0) < 149.5 - max(1, 1 / scale)
        assert inside.any()
        assert (moved[inside] == 200).all()
        assert (moved_labels[inside] == 0).all()


@settings(deadline=None, max_examples=60)
@given(
    image_size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    crop_size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    scale=st.floats(1, 3),
    flip=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_a_crop_around_a_pixel_shows_it(image_size, crop_size, scale, flip, seed):
    rng = np.random.default_rng(seed)
    y, x = (int(rng.integers(side)) for side in image_size)
    labels = np.zeros(image_size, np.uint8)
    labels[y, x] = 1
    transform = still(crop_size, scale_range=(scale, scale), flip=flip)
    _, seen = transform(noise(*image_size, 3), labels, rng, focus=(x, y))
    assert (seen == 1).any()


def test_crops_around_a_pixel_lie_anywhere_about_it():
    columns = np.tile(np.arange(100, dtype=np.uint8), (90, 1))
    image, places = noise(90, 100, 3), []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        _, seen = still((10, 20))(image, columns, rng, focus=(50, 3))
        places.append(int(seen[0, 0]))
    assert set(places) == set(range(31, 51))


def test_a_pixel_to_look_at_does_not_change_how_many_numbers_are_drawn():
    image, labels = blocks(50, 60)
    after = []
    for focus in (None, (3, 40)):
        rng = np.random.default_rng(5)
        JointTransform((20, 20))(image, labels, rng, focus=focus)
        after.append(rng.random())
    assert after[0] == after[1]


@pytest.mark.parametrize("elastic", [3.0, 10.0])
def test_bent_labels_stay_labels_and_aligned_with_the_image(elastic):
    image, labels = blocks(150, 200)
    transform = still((128, 128), rotation=20.0, elastic=elastic, fill=0)
    colours = np.vstack([PALETTE, np.zeros((251, 3), np.uint8)])
    changed = 0
    for seed in range(5):
        moved, moved_labels = transform(image, labels, np.random.default_rng(seed))
        assert set(np.unique(moved_labels)) <= {0, 1, 2, 3, 4, 255}
        padded = np.pad(moved_labels, 2, constant_values=254)
        around = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        inner = (around == moved_labels[..., None, None]).all(axis=(2, 3))
        assert inner.mean() > 0.1
        assert np.abs(moved.astype(int) - colours[moved_labels])[inner].max() <= 1
        plain = dataclasses.replace(transform, elastic=0.0)
        changed += (plain(image, labels, np.random.default_rng(seed))[1] != moved_labels).sum()
    assert changed > 1000


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_part_that_is_warped_holds_all_that_a_deformation_shows(scale):
    image, labels = noise(300, 300, 3), noise(300, 300, seed=1)
    transform = still((40, 50), scale_range=(scale, scale), rotation=30.0, elastic=10.0)
    for seed in range(10):
        found, found_labels = transform(image, labels, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        matrix = random_matrix(
            rng, (300, 300), (40, 50), scale_range=(scale, scale), rotation=30.0, flip=0.0
        )
        random_colours(rng, brightness=0, contrast=0, saturation=0)
        nodes = random_displacements(rng, 10.0) @ matrix[:, :2].T
        where = bent(matrix, interpolated(nodes, (40, 50)))
        whole = smooth_before_warp(image, matrix)
        expected = warp_image(whole, where, (40, 50), fill=fill_values(None, image))
        assert np.abs(found.astype(int) - expected)[2:-2, 2:-2].max() <= 2
        assert (found_labels == warp_labels(labels, where, (40, 50))).mean() > 0.99


def test_a_deformation_does_not_change_what_else_is_drawn():
    image, labels = blocks(90, 90)
    plain, hardly = (
        JointTransform((64, 64), elastic=elastic)(image, labels, np.random.default_rng(4))
        for elastic in (0.0, 1e-6)
    )
    assert (plain[1] == hardly[1]).mean() > 0.99
    assert (np.abs(plain[0].astype(int) - hardly[0]) <= 1).mean() > 0.99


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"crop_size": (0, 5)}, r"crop_size is \(0, 5\)"),
        ({"crop_size": (5,)}, r"crop_size is \(5,\)"),
        ({"scale_range": (0.0, 2.0)}, r"scale_range is \(0.0, 2.0\)"),
        ({"scale_range": (2.0, 0.5)}, "smallest and the largest"),
        ({"scale_range": (0.5, math.inf)}, "scale_range"),
        ({"rotation": -1.0}, r"rotation is -1.0, but must lie in 0..180"),
        ({"flip": 1.5}, r"flip is 1.5, but must lie in 0..1"),
        ({"brightness": -0.1}, "brightness is -0.1"),
        ({"contrast": math.nan}, "contrast is nan"),
        ({"hue": 0.6}, r"hue is 0.6, but must lie in 0..0.5"),
        ({"ignore_index": 256}, "ignore_index is 256"),
        ({"elastic": -1.0}, r"elastic is -1.0, but must lie in 0..1000"),
    ],
)
def test_wrong_settings_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        dataclasses.replace(JointTransform((8, 8)), **change)


@pytest.mark.parametrize(
    ("image", "labels", "says"),
    [
        (noise(9, 8), noise(9, 8), "the image is uint8 of shape"),
        (noise(9, 8, 3) / 255, noise(9, 8), "the image is float64"),
        (noise(0, 8, 3), noise(0, 8), "the image is"),
        (noise(9, 8, 3), noise(8, 9), r"the labels are uint8 of shape \(8, 9\)"),
        (noise(9, 8, 3), noise(9, 8).astype(np.int64), "the labels are int64"),
        (noise(9, 8, 4), noise(9, 8), "fill has 3 value"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(image, labels, says):
    transform = JointTransform((8, 8), fill=(1, 2, 3))
    with pytest.raises(InputError, match=says):
        transform(image, labels, np.random.default_rng(0))


def test_blur_smooths_so_many_images_and_no_labels():
    image, labels = noise(60, 70, 3), noise(60, 70, seed=1)
    plain, blurred = still((60, 70)), still((60, 70), blur=0.5)
    smooth = cv2.GaussianBlur(image, (5, 5), 0)
    count = 0
    for seed in range(200):
        found, found_labels = blurred(image, labels, np.random.default_rng(seed))
        assert (found_labels == plain(image, labels, np.random.default_rng(seed))[1]).all()
        assert (found == image).all() or (found == smooth).all()
        count += int((found == smooth).all())
    assert count == pytest.approx(100, abs=25)


def test_a_step_that_cannot_be_meant_is_refused():
    with pytest.raises(InputError, match=r"scale_step is 0.0, but must be above 0"):
        JointTransform((8, 8), scale_step=0.0)
    with pytest.raises(InputError, match=r"blur is 2, but must lie in 0..1"):
        JointTransform((8, 8), blur=2)
