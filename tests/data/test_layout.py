"""Splits are found by their folders, pairs by the names of their files."""

import numpy as np
import pytest

from atrous.data.layout import SplitFolders, folder_splits, hold_out, pair_files, split_findings
from atrous.errors import InputError


def pairs_and_findings(folder, split="train"):
    return pair_files(split, folder_splits(folder.root)[split])


def test_any_of_the_three_splits_may_be_there(folder):
    folder.pair("a", split="val")
    folder.pair("b", split="test")

    assert list(folder_splits(folder.root)) == ["val", "test"]


def test_pairs_go_by_name_without_ending_in_order_also_in_sub_folders(folder):
    for name in ("b", "a.x"):
        folder.image(f"{name}.png")
        folder.mask(f"{name}.png")
    (folder.root / "train/images/city").mkdir()
    (folder.root / "train/masks/city").mkdir()
    folder.image("city/1.PNG")
    folder.mask("city/1.tif")

    pairs, findings = pairs_and_findings(folder)

    assert [pair.image.name for pair in pairs] == ["a.x.png", "b.png", "1.PNG"]
    assert [pair.mask.name for pair in pairs] == ["a.x.png", "b.png", "1.tif"]
    assert findings == []


def test_a_folder_without_splits_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(InputError, match=r"\(it is empty\); put images into train/images"):
        folder_splits(tmp_path)

    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(InputError, match=r"\(it holds JPEGImages\)"):
        folder_splits(tmp_path)


def test_images_and_masks_alone_are_held_out_at_the_end_and_that_is_said(folder):
    for number in range(11):
        folder.pair(f"{number:02d}", split="")
    pairs, _ = pair_files("whole", folder_splits(folder.root)["whole"])

    splits, note = hold_out(pairs, "train and val folders")

    assert [pair.image.stem for pair in splits["val"]] == ["09", "10"]
    assert len(splits["train"]) == 9
    assert "no train and val folders: the last 2 of 11 pairs by name are held out as val" in note


def test_two_pairs_give_one_to_val_and_a_single_one_stays_in_train(folder):
    folder.pair("a")
    folder.pair("b")
    pairs, _ = pairs_and_findings(folder)

    assert hold_out(pairs, "val split")[0] == {"train": pairs[:1], "val": pairs[1:]}
    assert hold_out(pairs[:1], "val split")[0] == {"train": pairs[:1], "val": ()}


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_a_validation_folder_of_another_name_is_the_val_split(folder, name):
    folder.pair("a")
    folder.pair("b", split=name)

    splits = folder_splits(folder.root)

    assert splits["val"] == SplitFolders(
        folder.root / name / "images", folder.root / name / "masks"
    )
    assert split_findings(folder.root, splits) == []


def test_two_validation_folders_are_told(folder):
    for split in ("train", "val", "valid"):
        folder.pair("a", split=split)

    splits = folder_splits(folder.root)

    assert splits["val"].images == folder.root / "val/images"
    (finding,) = split_findings(folder.root, splits)
    assert "valid is not read as the val split -> merge it into the val split" in str(finding)


@pytest.mark.parametrize("val", ["val", "valid"])
def test_splits_below_images_and_masks_are_splits(folder, val):
    """YOLO's way to lay out a data set; merged, the user's val would be trained on."""
    for split in ("train", val, "test"):
        for kind in ("images", "masks"):
            (folder.root / kind / split).mkdir(parents=True)

    splits = folder_splits(folder.root)

    assert splits == {
        split: SplitFolders(folder.root / "images" / name, folder.root / "masks" / name)
        for split, name in (("train", "train"), ("val", val), ("test", "test"))
    }
    assert split_findings(folder.root, splits) == []


def test_images_beside_the_splits_are_told(folder):
    for place in ("images/train", "masks/train"):
        (folder.root / place).mkdir(parents=True)
    folder.image("lost", split="")

    (finding,) = split_findings(folder.root, folder_splits(folder.root))

    assert "images holds 1 images beside the splits (lost.jpg); left out" in str(finding)


def test_image_without_mask_and_mask_without_image(small):
    image = small.image("lonely")
    mask = small.mask("widow")

    pairs, findings = pairs_and_findings(small)

    assert len(pairs) == 2
    assert {(f.severity, f.path, f.what) for f in findings} == {
        ("error", image, "has no mask"),
        ("error", mask, "has no image"),
    }
    assert any("lonely.png" in finding.remedy for finding in findings)


def test_two_files_of_one_name(small):
    twin = small.image("a.png")

    pairs, findings = pairs_and_findings(small)

    assert [(f.path, f.severity) for f in findings] == [(twin, "error")]
    assert "same name as a.jpg" in findings[0].what
    assert len(pairs) == 2


def test_no_masks_at_all(folder):
    folder.image("a")
    with pytest.raises(InputError, match=r"masks does not exist; make it and put the masks there"):
        pairs_and_findings(folder)

    (folder.root / "train/masks").mkdir()
    with pytest.raises(InputError, match="masks holds no masks; put files there"):
        pairs_and_findings(folder)


def test_no_images_at_all(folder):
    folder.mask("a")

    with pytest.raises(InputError, match="images does not exist"):
        pairs_and_findings(folder)


def test_names_that_never_match_are_told_by_example(folder):
    for name in ("one", "two"):
        folder.image(name)
        folder.mask(f"{name}_mask")

    with pytest.raises(InputError, match=r"there is one\.jpg, but one_mask\.png; give both"):
        pairs_and_findings(folder)


def test_a_test_split_without_masks_is_left_out_with_a_warning(small):
    small.image("z", split="test")

    pairs, (finding,) = pairs_and_findings(small, "test")

    assert pairs == ()
    assert finding.severity == "warning"
    assert "atrous predict" in finding.remedy


def test_files_that_are_no_images_are_left_out(small):
    images = small.root / "train/images"
    (images / "Thumbs.db").write_bytes(b"x")
    (images / ".hidden.png").write_bytes(b"x")
    (images / "notes.txt").write_text("x")
    np.save(images / "array.npy", np.zeros(3))

    pairs, (finding,) = pairs_and_findings(small)

    assert len(pairs) == 2
    assert "array.npy" in finding.what
    assert finding.severity == "warning"


def test_folders_may_lie_apart(small, tmp_path):
    folders = SplitFolders(small.root / "train/images", small.root / "train/masks")

    assert len(pair_files("anything", folders)[0]) == 2
