"""Made scenes: exact, repeatable, varied, and not to be solved by colour alone."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image

from atrous.data import open_data
from atrous.data.scenes.canvas import PERSON, POLE, SIGN, SKY, TREE, Canvas, View
from atrous.data.scenes.cars import paint_car
from atrous.data.scenes.light import Light
from atrous.data.scenes.people import paint_person
from atrous.data.scenes.posts import paint_pole, paint_sign
from atrous.data.scenes.trees import paint_tree
from atrous.data.synthetic import SCENE_LABELS, make_scene, write_scenes
from atrous.errors import InputError

CLASSES = len(SCENE_LABELS)
VIEW = View(size=(240, 320), vanishing=(160.0, 100.0), focal=260.0, eye=1.6)
CLEAR_NOON = Light(
    tint=(1.0, 1.0, 1.0),
    shadow=0.6,
    cast=(0.5, 0.2),
    zenith=(90.0, 140.0, 210.0),
    haze=(210.0, 215.0, 220.0),
    density=0.0,
    clouds=0.3,
    lamps=0.0,
)


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(seed, (128, 128)) for seed in range(40)]


@pytest.mark.parametrize("size", [(32, 32), (256, 256), (37, 91), (300, 64)])
def test_the_same_seed_gives_the_same_bytes_at_any_size(size):
    image, labels = make_scene(5, size)
    again, labels_again = make_scene(np.random.default_rng(5), size)
    other, _ = make_scene(6, size)
    assert image.shape == (*size, 3)
    assert labels.shape == size
    assert image.dtype == labels.dtype == np.uint8
    assert image.tobytes() == again.tobytes()
    assert labels.tobytes() == labels_again.tobytes()
    assert image.tobytes() != other.tobytes()


def test_a_scene_does_not_depend_on_the_scenes_made_before_it():
    first = make_scene(3, (64, 64))
    make_scene(8, (80, 48))
    assert make_scene(3, (64, 64))[0].tobytes() == first[0].tobytes()


def test_scenes_are_written_to_a_folder_named_by_text(tmp_path):
    write_scenes(str(tmp_path / "scenes"), {"val": 1}, size=(32, 32))
    assert len(open_data(tmp_path / "scenes").splits["val"]) == 1


def test_too_small_a_scene_is_refused_with_the_smallest_size():
    with pytest.raises(InputError, match=r"31x64 pixels .* smallest is 32x32"):
        make_scene(0, (31, 64))


def test_every_class_takes_its_share_and_stands_in_most_scenes(scenes):
    counts = np.array([np.bincount(labels.ravel(), minlength=CLASSES) for _, labels in scenes])
    assert counts.shape[1] == CLASSES  # no label outside the classes
    shares = counts.sum(axis=0) / counts.sum()
    assert (shares > 0.007).all(), dict(zip(SCENE_LABELS.names, shares, strict=True))
    assert shares.max() < 0.45
    assert ((counts > 0).mean(axis=0) > 0.75).all()


@pytest.mark.parametrize(
    ("paint", "label"),
    [
        (lambda canvas, rng: paint_car(canvas, 1.0, 9.0, rng.uniform(-3, 3), rng), {5}),
        (lambda canvas, rng: paint_person(canvas, -1.0, 5.0, rng), {PERSON}),
        (lambda canvas, rng: paint_tree(canvas, 0.5, 9.0, rng), {TREE}),
        (lambda canvas, rng: paint_pole(canvas, 0.5, 9.0, rng), {POLE}),
        (lambda canvas, rng: paint_sign(canvas, 0.5, 6.0, rng), {POLE, SIGN}),
    ],
    ids=["car", "person", "tree", "pole", "sign"],
)
def test_a_thing_is_labelled_exactly_where_it_is_seen(paint, label):
    for seed in range(12):
        canvas = Canvas(VIEW, CLEAR_NOON)  # black sky everywhere
        paint(canvas, np.random.default_rng(seed))
        painted = canvas.pixels[..., :3].any(axis=-1)
        assert painted.sum() > 100
        np.testing.assert_array_equal(canvas.labels() != SKY, painted)
        assert set(np.unique(canvas.labels()[painted])) == label


def test_the_mask_lies_on_the_image_to_the_pixel():
    """Edges of the image are strongest under the mask's edges, not a pixel beside them."""
    strength = np.zeros((5, 5))
    for seed in range(8):
        image, labels = make_scene(seed, (192, 192))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
        edges = np.abs(grey[:, 1:-1] - np.roll(grey, 1, 1)[:, 1:-1])
        border = labels[:, 1:-1] != np.roll(labels, 1, 1)[:, 1:-1]
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.roll(border, (down, right), (0, 1))[4:-4, 4:-4]
                strength[down + 2, right + 2] += edges[4:-4, 4:-4][moved].mean()
    assert np.unravel_index(strength.argmax(), (5, 5)) == (2, 2), strength.round(1)


def test_haze_veils_far_things_and_leaves_their_label():
    fog = Light(**{**vars(CLEAR_NOON), "density": 0.03})
    for z, least, most in ((5.0, 0.0, 60.0), (90.0, 150.0, 220.0)):
        canvas = Canvas(VIEW, fog)
        canvas.fill(canvas.ink(POLE, (20.0, 20.0, 20.0), z), np.array(((0, 0), (9, 0), (9, 9))))
        seen = canvas.pixels[1, 5]
        expected = 20 * math.exp(-0.03 * z) + 210 * (1 - math.exp(-0.03 * z))
        assert seen[0] == pytest.approx(expected, abs=1)
        assert least < seen[0] < most
        assert canvas.labels()[1, 5] == POLE


def test_nearer_things_hide_farther_ones():
    canvas = Canvas(VIEW, CLEAR_NOON)
    paint_tree(canvas, 0.0, 12.0, np.random.default_rng(0))
    trees = (canvas.labels() == TREE).sum()
    paint_car(canvas, 0.0, 8.0, 0.0, np.random.default_rng(0))
    assert 0 < (canvas.labels() == TREE).sum() < trees
    assert (canvas.labels() == 5).sum() > 500


def test_a_metre_is_as_many_pixels_as_the_pinhole_says():
    left, right = VIEW.project(np.array((-0.5, 0.5)), 0.0, 10.0)
    assert right[0] - left[0] == pytest.approx(260.0 / 10)
    assert left[1] == pytest.approx(100 + 1.6 * 26)
    assert VIEW.foot(0.5, 10.0) == pytest.approx(tuple(right))


@pytest.mark.parametrize(("size", "median"), [(64, 3), (160, 5), (256, 8)])
def test_half_of_the_pole_rows_are_thin_and_some_a_single_pixel(size, median):
    """Of the image's width: 5 %, 3 % and 3 %. The demo's scenes have 160 pixels."""
    widths = []
    for seed in range(12):
        _, labels = make_scene(seed, (size, size))
        padded = np.pad((labels == POLE).astype(np.int8), ((0, 0), (1, 1)))
        steps = np.diff(padded, axis=1)
        widths.append(np.nonzero(steps == -1)[1] - np.nonzero(steps == 1)[1])
    runs = np.concatenate(widths)
    assert np.median(runs) <= median
    assert (runs == 1).sum() > 50


def test_colour_alone_does_not_give_the_class_away(scenes):
    """The best guess from a pixel's colour, learnt on other scenes, stays far from the masks."""
    votes = np.zeros((16**3, CLASSES))
    for seed in range(100, 160):
        image, labels = make_scene(seed, (128, 128))
        np.add.at(votes, (_colour_bins(image), labels.ravel()), 1)
    guess = votes.argmax(axis=1)
    matrix = np.zeros((CLASSES, CLASSES))
    for image, labels in scenes:
        np.add.at(matrix, (labels.ravel(), guess[_colour_bins(image)]), 1)
    hits = np.diag(matrix)
    iou = hits / (matrix.sum(axis=0) + matrix.sum(axis=1) - hits)
    assert iou.mean() < 0.45, dict(zip(SCENE_LABELS.names, iou.round(2), strict=True))


def _colour_bins(image):
    red, green, blue = (image // 16).reshape(-1, 3).astype(int).T
    return (red * 16 + green) * 16 + blue


def test_scenes_differ_in_light_horizon_and_crowd(scenes):
    brightness = np.array([image.mean() for image, _ in scenes])
    assert brightness.std() > 12
    road = np.array([(labels == 2).mean() for _, labels in scenes])
    assert road.max() > 2 * road.min()
    assert any(not np.isin(labels, (5, PERSON)).any() for _, labels in map(_small, range(60)))


def _small(seed):
    return make_scene(seed, (48, 48))


def test_written_scenes_open_as_a_data_folder_without_a_finding(tmp_path):
    write_scenes(tmp_path, {"train": 3, "val": 2}, size=(64, 96), seed=4)
    spec = open_data(tmp_path)
    assert spec.findings == ()
    assert spec.label_set == SCENE_LABELS
    assert {split: len(pairs) for split, pairs in spec.splits.items()} == {"train": 3, "val": 2}
    image, labels = make_scene(np.random.default_rng((4, 1, 0)), (64, 96))
    pair = spec.splits["val"][0]
    np.testing.assert_array_equal(spec.read_labels(pair), labels)
    assert np.abs(spec.read_image(pair).astype(int) - image).mean() < 6  # JPEG
    with Image.open(pair.mask) as mask:
        assert mask.mode == "P"
        assert mask.getpalette()[:27] == [value for rgb in SCENE_LABELS.colours for value in rgb]


def test_a_split_does_not_change_with_the_count_of_another(tmp_path):
    write_scenes(tmp_path / "a", {"train": 1, "val": 1}, size=(32, 32))
    write_scenes(tmp_path / "b", {"train": 2, "val": 1}, size=(32, 32))
    name = "val/masks/00000.png"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_split_does_not_change_with_the_presence_or_the_order_of_another(tmp_path):
    together = {"extra": 1, "test": 1, "train": 1}
    write_scenes(tmp_path / "all", together, size=(32, 32))
    masks = set()
    for split in together:
        write_scenes(tmp_path / split, {split: 1}, size=(32, 32))
        mask = (tmp_path / split / split / "masks/00000.png").read_bytes()
        assert mask == (tmp_path / "all" / split / "masks/00000.png").read_bytes()
        masks.add(mask)
    assert len(masks) == 3


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("val", 1), ("test", 2)])
def test_the_usual_splits_keep_the_scenes_that_were_measured(tmp_path, split, number):
    write_scenes(tmp_path, {split: 1}, size=(32, 32), seed=7)
    _, labels = make_scene(np.random.default_rng((7, number, 0)), (32, 32))
    with Image.open(tmp_path / split / "masks/00000.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), labels)
