import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sklearn_metrics

from atrous.data import open_data
from atrous.data.spec import Pair
from atrous.errors import InputError
from atrous.evaluation import evaluate_predictions
from atrous.evaluation.image_table import write_image_table


@pytest.fixture
def masks(spec, tmp_path):
    """Write one predicted mask per validation image: the truth with a fifth of it changed."""
    folder = tmp_path / "masks"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for pair in spec.splits["val"]:
        labels = spec.read_labels(pair)
        wrong = (rng.random(labels.shape) < 0.2) | (labels == 255)
        mask = np.where(wrong, rng.integers(0, 3, labels.shape), labels).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"{pair.image.stem}.png")
    return folder


def test_masks_of_any_tool_are_scored_like_scikit_learn_does(spec, masks):
    truth, predicted = [], []
    for pair in spec.splits["val"]:
        labels = spec.read_labels(pair)
        with Image.open(masks / f"{pair.image.stem}.png") as mask:
            predicted.append(np.asarray(mask)[labels != 255])
        truth.append(labels[labels != 255])
    result = evaluate_predictions(masks, spec)
    expected = sklearn_metrics.confusion_matrix(np.concatenate(truth), np.concatenate(predicted))
    np.testing.assert_array_equal(result.matrix, expected)
    assert len(result.per_image) == 4


def test_palette_and_16_bit_masks_are_read_as_numbers(spec, masks):
    expected = evaluate_predictions(masks, spec).matrix
    for path in sorted(masks.glob("v[01].png")):
        with Image.open(path) as mask:
            array = np.asarray(mask)
        picture = Image.fromarray(array)
        picture.putpalette(list(range(255, -1, -1)) * 3)
        picture.save(path)
    with Image.open(masks / "v2.png") as mask:
        array = np.asarray(mask)
    Image.fromarray(array.astype(np.uint16)).save(masks / "v2.png")
    np.testing.assert_array_equal(evaluate_predictions(masks, spec).matrix, expected)


def test_masks_larger_than_pillow_likes_are_read_without_a_word(spec, masks, monkeypatch):
    """Pillow warns from 89 million pixels on and refuses twice as many; we read 268 million."""
    expected = evaluate_predictions(masks, spec).matrix
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the masks have a thousand and more
    np.testing.assert_array_equal(evaluate_predictions(masks, spec).matrix, expected)


def test_our_own_extra_files_are_no_masks(spec, masks):
    (masks / "predictions.json").write_text("{}")
    (masks / "v0-overlay.jpg").touch()
    evaluate_predictions(masks, spec)


def test_missing_surplus_and_double_masks_are_all_told_at_once(spec, masks):
    shutil.copy(masks / "v1.png", masks / "holiday.png")
    (masks / "deep").mkdir()
    shutil.copy(masks / "v1.png", masks / "deep" / "v1.png")
    (masks / "v0.png").unlink()
    with pytest.raises(InputError) as caught:
        evaluate_predictions(masks, spec)
    told = str(caught.value)
    assert "1 image without a mask (v0)" in told
    assert "1 mask of no image of the split (holiday)" in told
    assert "1 name that more than one mask has (v1)" in told
    assert "\n" not in told


@pytest.fixture
def twins(spec, tmp_path):
    """Make a split of a/1 and b/1: the one all class 0, the other all class 1."""
    pairs = []
    for value, place in enumerate("ab"):
        for kind in ("images", "masks"):
            (tmp_path / "val" / kind / place).mkdir(parents=True)
            path = tmp_path / "val" / kind / place / "1.png"
            Image.fromarray(np.full((32, 48), value, np.uint8)).save(path)
        pairs.append(Pair(path.parents[2] / "images" / place / "1.png", path))
    return dataclasses.replace(spec, splits={"val": tuple(pairs)})


@pytest.mark.parametrize("where", ["masks", "."])
def test_images_of_one_name_take_the_masks_of_their_own_folders(twins, tmp_path, where):
    found = tmp_path / "found" / where
    shutil.copytree(tmp_path / "val" / "masks", found)
    result = evaluate_predictions(found, twins)
    assert result.mean_iou == 1
    write_image_table(tmp_path / "images.csv", result)
    rows = list(csv.DictReader((tmp_path / "images.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["a/1.png", "b/1.png"]
    assert [row["image"] for row in result.to_json()["per_image"]] == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize("places", [["1.png"], ["c/1.png", "d/1.png"]])
def test_a_mask_that_may_be_of_two_images_is_refused(twins, tmp_path, places):
    for place in places:
        (tmp_path / "found" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "val" / "masks" / "a" / "1.png", tmp_path / "found" / place)
    with pytest.raises(InputError, match=r"2 images without a mask at the same path.*a/1, b/1"):
        evaluate_predictions(tmp_path / "found", twins)


def test_a_name_that_occurs_once_is_found_in_any_folder(spec, masks):
    expected = evaluate_predictions(masks, spec).matrix
    (masks / "deep").mkdir()
    (masks / "v1.png").rename(masks / "deep" / "v1.png")
    np.testing.assert_array_equal(evaluate_predictions(masks, spec).matrix, expected)


def test_two_files_of_one_name_in_one_folder_are_refused(spec, masks):
    shutil.copy(masks / "v1.png", masks / "v1.tif")
    with pytest.raises(InputError, match=r"1 name that more than one mask has \(v1\)"):
        evaluate_predictions(masks, spec)


def test_a_mask_of_another_size_is_told(spec, masks):
    Image.new("L", (9, 8)).save(masks / "v2.png")
    with pytest.raises(InputError, match=r"v2\.png is 9x8, but its labels are 48x32"):
        evaluate_predictions(masks, spec)


def test_a_value_that_is_no_class_is_told_with_its_count(spec, masks):
    with Image.open(masks / "v2.png") as mask:
        array = np.asarray(mask).copy()
    pair = next(pair for pair in spec.splits["val"] if pair.image.stem == "v2")
    rows, columns = np.nonzero(spec.read_labels(pair) != 255)
    array[rows[:4], columns[:4]] = 7
    Image.fromarray(array).save(masks / "v2.png")
    with pytest.raises(InputError, match=r"v2\.png holds 7 \(4 pixels\), but the classes are 0..2"):
        evaluate_predictions(masks, spec)


def test_a_mask_of_nothing_but_void_is_told(spec, masks):
    with Image.open(masks / "v2.png") as mask:
        Image.fromarray(np.full(np.asarray(mask).shape, 255, np.uint8)).save(masks / "v2.png")
    with pytest.raises(
        InputError, match=r"v2\.png holds 255 \(\d+ pixels\).*predict a class there"
    ):
        evaluate_predictions(masks, spec)


def test_one_image_and_a_class_without_pixels_are_scored(one_pair, tmp_path):
    (tmp_path / "found").mkdir()
    Image.fromarray(np.ones((32, 64), np.uint8)).save(tmp_path / "found" / "a.png")
    result = evaluate_predictions(tmp_path / "found", one_pair([1, 1, 2, 255]), details=True)
    assert result.absent == ("class_0",)
    assert result.mean_iou == pytest.approx((2 / 3 + 0) / 2)
    assert np.isnan(result.interval).all()
    assert result.figures["boundary_f1"].value >= 0


def test_labels_of_nothing_but_void_give_no_score(one_pair, tmp_path):
    (tmp_path / "found").mkdir()
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(tmp_path / "found" / "a.png")
    spec = one_pair([0, 1])
    Image.fromarray(np.full((32, 64), 255, np.uint8)).save(spec.splits["val"][0].mask)
    result = evaluate_predictions(tmp_path / "found", spec, details=True)
    assert result.num_present == 0
    assert result.to_json()["mean_iou"] is None
    assert not result.has_learnt


def test_a_coloured_mask_is_refused(spec, masks):
    Image.new("RGB", (48, 32)).save(masks / "v2.png")
    with pytest.raises(InputError, match=r"v2\.png is a picture in colour"):
        evaluate_predictions(masks, spec)


@pytest.mark.parametrize("keep", [0, 60])
def test_a_broken_mask_is_told(spec, masks, keep):
    (masks / "v2.png").write_bytes((masks / "v2.png").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"v2\.png"):
        evaluate_predictions(masks, spec)


def test_a_missing_folder_is_told(spec, tmp_path):
    with pytest.raises(InputError, match=r"no folder .*gone"):
        evaluate_predictions(tmp_path / "gone", spec)


@pytest.mark.shared
def test_the_published_figures_of_espnet_on_camvid_come_out_exactly(shared):
    """Against a matrix that plain numpy made from the same masks."""
    camvid = shared / "data" / "camvid"
    result = evaluate_predictions(camvid / "espnet_predictions" / "val", open_data(camvid))
    published = json.loads((camvid / "espnet_metrics_val.json").read_text())
    assert result.matrix.tolist() == published["confusion_rows_are_ground_truth"]
    assert result.mean_iou == published["mean_iou"] == 0.6806619841688005
    assert result.pixel_accuracy == published["pixel_accuracy"] == 0.9306710973471002
    assert result.mean_accuracy == published["mean_class_accuracy"]
    assert result.frequency_weighted_iou == published["frequency_weighted_iou"]
    assert list(result.iou) == published["iou"]
    assert list(result.class_accuracy) == published["class_accuracy"]
    assert list(result.precision) == published["precision"]
    assert list(result.dice) == published["dice"]
    assert result.mean_dice == published["mean_dice"]
    assert result.to_json()["valid_pixels"] == published["valid_pixels"]
    assert result.absent == ()
