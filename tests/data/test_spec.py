"""A data set is opened as a whole: its pairs, its splits, its fingerprint."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data import open_data
from atrous.errors import InputError


def test_a_sound_folder_opens_without_a_finding(small):
    spec = open_data(small.root)

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 2, "val": 1}
    assert spec.findings == ()
    assert spec.channels == 3
    assert spec.label_set.names == ("class_0", "class_1")
    assert spec.statistics["train"].pixels == (2 * 24 * 16, 2 * 24 * 16)
    assert spec.statistics["train"].sizes == {(24, 32): 2}


def test_image_and_labels_of_a_pair_fit_together(small):
    spec = open_data(small.root)
    pair = spec.splits["train"][0]

    image, labels = spec.read_image(pair), spec.read_labels(pair)

    assert (image.shape, image.dtype) == ((24, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((24, 32), np.uint8)
    assert labels[0, 0] == 0
    assert labels[0, -1] == 1


def test_path_may_be_a_string_a_yaml_or_its_folder(small):
    file = small.yaml("names: [road, car]")

    for path in (str(small.root), small.root, file):
        assert open_data(path).label_set.names == ("road", "car")


def test_a_spec_travels_to_loader_processes(small):
    spec = open_data(small.root)
    again = pickle.loads(pickle.dumps(spec))
    pair = again.splits["val"][0]

    np.testing.assert_array_equal(again.read_labels(pair), spec.read_labels(pair))


def test_the_fingerprint_follows_content_and_classes_not_the_place(small, tmp_path):
    first = open_data(small.root).fingerprint
    small.root.rename(tmp_path / "moved")
    small.root = tmp_path / "moved"
    assert open_data(small.root).fingerprint == first

    small.yaml("names: [a, b]")
    named = open_data(small.root).fingerprint
    assert named != first

    small.mask("a", np.ones((24, 32), np.uint8))
    assert open_data(small.root).fingerprint != named


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match=r"does not exist; give a folder"):
        open_data(tmp_path / "nowhere")


def test_a_misspelt_folder_is_answered_with_the_closest(small):
    with pytest.raises(InputError, match=r"stret does not exist; did you mean .*/street\? give a"):
        open_data(small.root.with_name("stret"))


@pytest.mark.parametrize("path", ["https://host/x.zip", "s3://bucket/x", "/vsizip/x.zip"])
@pytest.mark.parametrize("kind", [str, Path])  # the command line gives a Path
def test_a_remote_place_is_refused_as_such(path, kind):
    with pytest.raises(InputError, match=r"is no local path; download it first"):
        open_data(kind(path))


def test_a_file_is_no_data_set(small):
    with pytest.raises(InputError, match=r"a\.jpg is no folder; give a folder with train/images"):
        open_data(small.root / "train/images/a.jpg")


def test_no_masks(folder):
    folder.image("a")

    with pytest.raises(InputError, match="masks does not exist; make it"):
        open_data(folder.root)


def test_a_folder_of_images_and_masks_alone_is_split(folder):
    for number in range(10):
        folder.pair(f"{number}", split="")

    spec = open_data(folder.root)

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 8, "val": 2}
    assert "held out as val" in spec.notes[0]


def test_without_val_the_same_fifth_of_train_is_held_out_every_time_and_that_is_said(folder):
    for number in (3, 1, 4, 0, 2, 5):
        folder.pair(f"{number}")
    folder.pair("t", split="test")

    spec, again = open_data(folder.root), open_data(folder.root)

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {
        "train": 5,
        "val": 1,
        "test": 1,
    }
    assert spec.findings == ()
    assert "no val split: the last 1 of 6 pairs by name are held out as val" in spec.notes[0]
    assert (again.splits, again.fingerprint) == (spec.splits, spec.fingerprint)
    assert not set(spec.splits["train"]) & set(spec.splits["val"])


def test_a_val_folder_that_a_yaml_leaves_out_is_told_and_train_stays_whole(folder):
    for name in "abcde":
        folder.pair(name)
    folder.pair("v", split="validation")
    folder.yaml("train: train")

    spec = open_data(folder.root)

    assert list(spec.splits) == ["train"]
    assert len(spec.splits["train"]) == 5
    (finding,) = spec.findings
    assert finding.path.name == "validation"
    assert finding.remedy == "write val: validation in data.yaml"


def test_splits_below_images_and_masks_stay_as_the_user_made_them(folder):
    for split, count in (("train", 8), ("val", 4)):
        for number in range(count):
            folder.pair(f"{split}{number}", split=split)
    for kind in ("images", "masks"):
        (folder.root / kind).mkdir()
        for split in ("train", "val"):
            (folder.root / split / kind).rename(folder.root / kind / split)
    for split in ("train", "val"):
        (folder.root / split).rmdir()

    spec = open_data(folder.root)

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 8, "val": 4}
    assert not spec.findings
    assert not any("held out" in note for note in spec.notes)
