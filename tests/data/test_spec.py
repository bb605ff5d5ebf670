"""A data set is opened as a whole: what it is, and everything that is wrong with it."""

import pickle

import numpy as np
import pytest
from PIL import Image

from atrous.data import open_data
from atrous.errors import InputError
from atrous.labels import VOID


def errors(spec):
    return [finding for finding in spec.findings if finding.severity == "error"]


def warnings(spec):
    return [finding for finding in spec.findings if finding.severity == "warning"]


def the_error(spec):
    (finding,) = errors(spec)
    assert "\n" not in str(finding)
    return finding


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


# What is no data set at all is told at once.


@pytest.mark.parametrize("path", ["nowhere", "https://host/x.zip", "/vsizip/x.zip"])
def test_no_such_folder(path, tmp_path):
    place = path if ":" in path or path.startswith("/") else tmp_path / path

    with pytest.raises(InputError, match=r"does not exist; give a folder|is no local path"):
        open_data(place)


def test_a_file_is_no_data_set(small):
    with pytest.raises(InputError, match=r"a\.jpg is no folder; give a folder with train/images"):
        open_data(small.root / "train/images/a.jpg")


def test_no_masks(folder):
    folder.image("a")

    with pytest.raises(InputError, match="masks does not exist; make it"):
        open_data(folder.root)


# Everything else is listed in one pass.


def test_all_faults_are_listed_in_one_pass_errors_first(small):
    small.image("lonely")
    small.mask("widow")
    (small.root / "train/images/a.jpg").write_bytes(b"")
    small.mask("b", np.zeros((10, 10), np.uint8))
    small.pair("v", np.full((24, 32), VOID, np.uint8), split="val")

    spec = open_data(small.root)

    assert [finding.severity for finding in spec.findings] == ["error"] * 4 + ["warning"]
    assert {finding.path.name for finding in errors(spec)} == {
        "lonely.jpg",
        "widow.png",
        "a.jpg",
        "b.png",
    }
    assert spec.splits["train"] == ()
    assert len(spec.splits["val"]) == 2


def test_mask_of_another_size(small):
    small.mask("a", np.zeros((20, 30), np.uint8))

    finding = the_error(open_data(small.root))

    assert finding.path.name == "a.png"
    assert finding.what == "is 30 x 20, but its image a.jpg is 32 x 24"
    assert "export the mask again" in finding.remedy


def test_mask_drawn_on_the_unturned_image(small):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = small.root / "train/images/a.jpg"
    Image.open(path).save(path, exif=exif)

    finding = the_error(open_data(small.root))

    assert "its image a.jpg is 24 x 32 once turned as its EXIF says" in finding.what
    assert "remove the EXIF orientation" in finding.remedy


def test_mask_drawn_on_the_turned_image_fits(small):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = small.root / "train/images/a.jpg"
    Image.open(path).save(path, exif=exif)
    small.mask("a", np.ones((32, 24), np.uint8))

    spec = open_data(small.root)
    pair = spec.splits["train"][0]

    assert spec.findings == ()
    assert spec.read_image(pair).shape[:2] == spec.read_labels(pair).shape == (32, 24)


def test_label_value_outside_the_classes(small):
    small.yaml("names: [road, car]")
    values = np.zeros((24, 32), np.uint8)
    values[:2] = 12
    small.mask("a", values)

    finding = the_error(open_data(small.root))

    assert finding.path.name == "a.png"
    assert finding.what == "holds 1 value outside the classes: 12 in 64 pixels"
    assert "label_map" in finding.remedy


def test_the_value_that_marks_void_in_the_masks_becomes_255(small):
    small.yaml("names: [road, car]\nignore_index: 9")
    values = np.zeros((24, 32), np.uint8)
    values[:2] = 9
    small.mask("a", values)

    spec = open_data(small.root)

    assert spec.findings == ()
    assert spec.label_set.ignore_index == VOID
    assert spec.statistics["train"].void == 2 * 32
    assert (spec.read_labels(spec.splits["train"][0])[:2] == VOID).all()


def test_binary_masks_are_two_classes_and_the_note_says_so(folder):
    for name, split in (("a", "train"), ("b", "val")):
        values = np.zeros((24, 32), np.uint8)
        values[:6] = 255
        folder.pair(name, values, split=split)

    spec = open_data(folder.root)

    assert spec.findings == ()
    assert "255 is read as class 1, not void" in spec.notes[0]
    assert spec.statistics["train"].pixels == (24 * 32 - 6 * 32, 6 * 32)
    assert spec.read_labels(spec.splits["val"][0]).max() == 1


def test_binary_masks_with_more_classes_declared_leave_nothing_usable(folder):
    folder.yaml("names: [a, b, c]")
    values = np.zeros((24, 32), np.uint8)
    values[:6] = 255
    folder.pair("a", values)
    folder.pair("b", values, split="val")

    spec = open_data(folder.root)

    assert "only 0 and 255, but declares 3 classes" in the_error(spec).what
    assert spec.splits == {"train": (), "val": ()}


def test_colour_masks_without_a_palette(folder):
    for name, split in (("a", "train"), ("b", "val")):
        folder.pair(name, np.zeros((24, 32, 3), np.uint8) + 7, split=split)

    finding = the_error(open_data(folder.root))

    assert "2 masks in colour (1 colours: [7, 7, 7])" in finding.what
    assert "write names and colours" in finding.remedy


def test_colour_masks_with_a_palette_are_exact_and_strangers_are_counted(folder):
    folder.yaml(
        'names: [road, car]\ncolours: [[128, 64, 128], [0, 0, 142]]\nlabel_map: {"0,0,0": ignore}'
    )
    colours = np.zeros((24, 32, 3), np.uint8)
    colours[:12] = (128, 64, 128)
    colours[12:18] = (0, 0, 142)
    folder.pair("a", colours)
    folder.pair("v", colours, split="val")
    folder.pair("b", np.where(colours == 142, 141, colours).astype(np.uint8))

    spec = open_data(folder.root)

    finding = the_error(spec)
    assert finding.path.name == "b.png"
    assert finding.what == "holds 1 colour outside the classes: (0, 0, 141) in 192 pixels"
    assert spec.label_set.colours == ((128, 64, 128), (0, 0, 142))
    assert spec.statistics["train"].pixels == (12 * 32, 6 * 32)
    assert spec.statistics["train"].void == 6 * 32
    labels = spec.read_labels(spec.splits["train"][0])
    assert np.unique(labels).tolist() == [0, 1, VOID]


def test_truncated_jpeg(small):
    path = small.root / "train/images/a.jpg"
    path.write_bytes(path.read_bytes()[:-100])

    finding = the_error(open_data(small.root))

    assert finding.path == path
    assert finding.what.startswith("is truncated: it ends after ")


def test_truncated_png_mask(small):
    path = small.root / "train/masks/a.png"
    path.write_bytes(path.read_bytes()[:-20])

    assert "is truncated" in the_error(open_data(small.root)).what


def test_zero_byte_file(small):
    (small.root / "train/masks/a.png").write_bytes(b"")

    assert the_error(open_data(small.root)).what == "has 0 bytes"


def test_directory_named_like_an_image(small):
    (small.root / "train/images/x.png").mkdir()
    small.mask("x")

    finding = the_error(open_data(small.root))

    assert (finding.path.name, finding.what) == ("x.png", "is a directory, not an image")


def test_a_text_that_is_called_png(small):
    (small.root / "train/masks/a.png").write_text("class 1")

    assert "is no image" in the_error(open_data(small.root)).what


def test_one_pixel(small):
    small.image("a", np.zeros((1, 1, 3), np.uint8))
    small.mask("a", np.zeros((1, 1), np.uint8))

    finding = the_error(open_data(small.root))

    assert finding.what == "is 1 x 1 pixels; at least 8 x 8 are needed"


def test_a_bomb_among_images_and_masks(small, make):
    (small.root / "train/images/a.jpg").write_bytes(make.bomb())
    (small.root / "train/masks/b.png").write_bytes(make.bomb())

    found = errors(open_data(small.root))

    assert len(found) == 2
    assert all("30,000 x 30,000 pixels" in finding.what for finding in found)


def test_void_only_mask_is_a_warning(small):
    small.mask("a", np.full((24, 32), VOID, np.uint8))

    spec = open_data(small.root)

    (finding,) = warnings(spec)
    assert finding.path.name == "a.png"
    assert "is void everywhere" in finding.what
    assert not errors(spec)
    assert len(spec.splits["train"]) == 2


def test_class_never_seen_in_train(small):
    small.yaml("names: [road, car, tram, bus]")
    small.pair("d", np.full((24, 32), 2, np.uint8), split="val")

    (finding,) = warnings(open_data(small.root))

    assert finding.what == "never shows tram, bus in train (2 of 4 classes)"


def test_many_classes_that_are_never_seen_stay_one_line(small):
    small.mask("a", np.full((24, 32), 200, np.uint8))

    (finding,) = warnings(open_data(small.root))

    assert "class_2, class_3, class_4, class_5, class_6 and 193 more in train" in finding.what


def test_a_grey_image_among_colour_is_converted_with_a_warning(small, make):
    small.image("a", make.photo(channels=1))

    spec = open_data(small.root)

    (finding,) = warnings(spec)
    assert "has 1 channel(s) among images of 3" in finding.what
    assert spec.read_image(spec.splits["train"][0]).shape == (24, 32, 3)


def test_an_image_with_other_bands_is_an_error(folder, make):
    for name in "abc":
        folder.pair(name)
        (folder.root / f"train/images/{name}.jpg").unlink()
        bands = 4 if name == "c" else 5
        path = folder.root / f"train/images/{name}.tif"
        path.write_bytes(make.tiff(np.zeros((24, 32, bands), np.uint8)))

    spec = open_data(folder.root)

    assert spec.channels == 5
    assert the_error(spec).what == "has 4 channel(s), but most images have 5"
    assert len(spec.splits["train"]) == 2


def test_mixed_depths_are_a_warning(small):
    (small.root / "train/images/a.jpg").unlink()
    small.image("a.png", np.zeros((24, 32), np.uint16))

    found = " ".join(finding.what for finding in warnings(open_data(small.root)))

    assert "is one of 1 images of 16 bit among 3" in found


def test_the_same_image_in_train_and_val(small):
    twin = small.root / "val/images/c.jpg"
    twin.write_bytes((small.root / "train/images/a.jpg").read_bytes())

    (finding,) = warnings(open_data(small.root))

    assert finding.path == twin
    assert "is the same file as" in finding.what
    assert "flatter" in finding.what


def test_a_file_that_changes_after_the_scan_is_told_when_read(small):
    spec = open_data(small.root)
    small.mask("a", np.full((24, 32), 9, np.uint8))

    with pytest.raises(InputError, match=r"a\.png holds 1 value outside the classes: 9 in 768"):
        spec.read_labels(spec.splits["train"][0])


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


def test_a_misnamed_val_folder_is_told_and_train_stays_whole(folder):
    for name in "abcde":
        folder.pair(name)
    folder.pair("v", split="validation")

    spec = open_data(folder.root)

    assert list(spec.splits) == ["train"]
    assert len(spec.splits["train"]) == 5
    assert [finding.path.name for finding in spec.findings] == ["validation"]


def test_no_message_has_more_than_one_line_or_a_long_one(small):
    small.image("na\nme")
    rng = np.random.default_rng(0)
    small.mask("a", rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))

    for finding in open_data(small.root).findings:
        assert "\n" not in str(finding)
        assert len(finding.what) <= 300


# The public data sets; their READMEs give the numbers.


@pytest.mark.shared
def test_camvid_is_counted_exactly(shared):
    spec = open_data(shared / "data" / "camvid")

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 367, "val": 101}
    assert spec.findings == ()
    train = spec.statistics["train"]
    assert train.pixels == (
        10682767,
        14750079,
        623349,
        20076880,
        2845085,
        6166762,
        743859,
        714595,
        3719877,
        405385,
        184967,
    )
    assert train.void == 2503995
    assert train.images_with == (366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201)
    assert train.sizes == {(360, 480): 367}
    assert spec.label_set.colours[3:5] == ((128, 64, 128), (60, 40, 222))
    val = spec.statistics["val"]
    assert val.void / (sum(val.pixels) + val.void) == pytest.approx(0.01703, abs=5e-6)


@pytest.mark.shared
def test_membranes_are_two_classes_in_one_channel(shared):
    spec = open_data(shared / "data" / "membrane_em")

    assert spec.channels == 1
    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 20, "val": 5}
    assert spec.statistics["train"].shares[0] == pytest.approx(0.2289, abs=5e-5)
    assert spec.statistics["val"].shares[0] == pytest.approx(0.2032, abs=5e-5)
    assert any("255 is read as class 1" in note for note in spec.notes)


@pytest.mark.shared
def test_cracks_are_thin(shared):
    spec = open_data(shared / "data" / "crack_forest")

    assert {name: len(pairs) for name, pairs in spec.splits.items()} == {"train": 72, "val": 22}
    assert spec.statistics["train"].shares[1] == pytest.approx(0.0162, abs=5e-5)
    assert spec.statistics["val"].shares[1] == pytest.approx(0.0173, abs=5e-5)


@pytest.mark.shared
def test_voc_in_its_own_folders_by_yaml(shared, tmp_path):
    file = tmp_path / "data.yaml"
    file.write_text(
        f"path: {shared / 'data' / 'voc_samples'}\n"
        "test: {images: JPEGImages, masks: SegmentationClass}\n"
    )
    spec = open_data(file)

    assert len(spec.splits["test"]) == 3
    assert len(spec.label_set) == 18  # the largest label of the three is 17
    assert spec.label_set.colours[12] == (64, 0, 128)  # dog, in the palette of VOC
    assert spec.findings == ()
    assert set(spec.statistics["test"].sizes) == {(333, 500), (319, 500), (500, 333)}
