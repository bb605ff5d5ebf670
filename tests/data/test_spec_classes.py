"""What the numbers and colours in the masks of a data set mean, and which of them mean nothing."""

import cv2
import numpy as np

from atrous.data import open_data
from atrous.labels import VOID


def test_label_value_outside_the_classes(small, the_error):
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


def test_binary_masks_with_more_classes_declared_leave_nothing_usable(folder, the_error):
    folder.yaml("names: [a, b, c]")
    values = np.zeros((24, 32), np.uint8)
    values[:6] = 255
    folder.pair("a", values)
    folder.pair("b", values, split="val")

    spec = open_data(folder.root)

    assert "only 0 and 255, but declares 3 classes" in the_error(spec).what
    assert spec.splits == {"train": (), "val": ()}


def test_colour_masks_without_a_palette(folder, the_error):
    for name, split in (("a", "train"), ("b", "val")):
        folder.pair(name, np.full((24, 32, 3), (7, 7, 8), np.uint8), split=split)

    finding = the_error(open_data(folder.root))

    assert "2 masks in colour (1 colours: [7, 7, 8])" in finding.what
    assert "write names and colours" in finding.remedy


def test_colour_masks_with_a_palette_are_exact_and_strangers_are_counted(folder, the_error):
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


def test_void_only_mask_is_a_warning(small, errors, warnings):
    small.mask("a", np.full((24, 32), VOID, np.uint8))

    spec = open_data(small.root)

    (finding,) = warnings(spec)
    assert finding.path.name == "a.png"
    assert "is void everywhere" in finding.what
    assert not errors(spec)
    assert len(spec.splits["train"]) == 2


def test_class_never_seen_in_train(small, warnings):
    small.yaml("names: [road, car, tram, bus]")
    small.pair("d", np.full((24, 32), 2, np.uint8), split="val")

    (finding,) = warnings(open_data(small.root))

    assert finding.what == "never shows tram, bus in train (2 of 4 classes)"


def test_many_classes_that_are_never_seen_stay_one_line(small, warnings):
    small.yaml(f"names: [{', '.join(f'class_{label}' for label in range(201))}]")
    small.mask("a", np.full((24, 32), 200, np.uint8))

    (finding,) = warnings(open_data(small.root))

    assert "class_2, class_3, class_4, class_5, class_6 and 193 more in train" in finding.what


def test_grey_rgb_masks_are_read_by_their_one_number_and_the_note_says_so(folder):
    values = np.zeros((24, 32), np.uint8)
    values[:6], values[6:8], values[8:9] = 1, 2, VOID
    for split in ("train", "val"):
        folder.pair("a", np.repeat(values[..., None], 3, 2), split=split)

    spec = open_data(folder.root)

    assert spec.findings == ()
    assert any("RGB with red = green = blue" in note for note in spec.notes)
    np.testing.assert_array_equal(spec.read_labels(spec.splits["train"][0]), values)
    assert spec.statistics["val"].pixels == (15 * 32, 6 * 32, 2 * 32)


def test_masks_with_smoothed_edges_leave_nothing_usable(folder, the_error):
    values = np.zeros((24, 32), np.uint8)
    values[6:18, 5:25] = 255
    smooth = cv2.GaussianBlur(values, (5, 5), 1.0)
    for split in ("train", "val"):
        folder.pair("a", smooth, split=split)

    spec = open_data(folder.root)

    assert "values between at their edges" in the_error(spec).what
    assert spec.splits == {"train": (), "val": ()}
