"""From raw numbers to labels, against plain loops."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data.coding import MaskCoding
from atrous.data.masks import RawMask, pack, value_counts
from atrous.errors import InputError
from atrous.labels import VOID

PATH = Path("m.png")
COLOURS = [(255, 0, 0), (0, 0, 255), (1, 2, 3), (224, 224, 192)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_indices_go_through_the_table(dtype):
    table = {0: 3, 1: 0, 7: 1, 200: 2, VOID: VOID}
    values = np.random.default_rng(0).choice(list(table), (9, 13)).astype(dtype)

    labels = MaskCoding(table).labels(RawMask(values, coloured=False), PATH)

    assert labels.dtype == np.uint8
    assert labels.tolist() == [[table[value] for value in row] for row in values.tolist()]


def test_colours_go_through_the_table():
    table = {pack(colour): label for colour, label in zip(COLOURS, (0, 1, 2, VOID), strict=True)}
    values = np.random.default_rng(0).choice(list(table), (9, 13)).astype(np.int32)

    labels = MaskCoding({}, table).labels(RawMask(values, coloured=True), PATH)

    assert labels.dtype == np.uint8
    assert labels.tolist() == [[table[value] for value in row] for row in values.tolist()]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_value_outside_the_classes_is_told_with_its_pixels(dtype):
    values = np.zeros((50, 60), dtype)
    values[:30] = 12
    values[40] = 99

    message = (
        r"m\.png holds 2 values outside the classes: 12 in 1,800 pixels, 99 in 60 pixels -> "
        r"correct the mask, or map the values in label_map of a data\.yaml"
    )
    with pytest.raises(InputError, match=message):
        MaskCoding.plain(11).labels(RawMask(values, coloured=False), PATH)


def test_colours_outside_the_classes_are_counted_and_the_commonest_shown():
    values = np.arange(400, dtype=np.int32).reshape(20, 20)
    values[0] = pack((128, 64, 0))

    message = r"holds 381 colours outside the classes: \(128, 64, 0\) in 20 pixels, .* and 378 more"
    with pytest.raises(InputError, match=message):
        MaskCoding({}, {pack((255, 0, 0)): 0}).labels(RawMask(values, coloured=True), PATH)


def test_a_coding_travels_to_loader_processes():
    coding = MaskCoding.plain(3)
    raw = RawMask(np.array([[0, 2, VOID]], np.uint8), coloured=False)
    coding.labels(raw, PATH)

    assert pickle.loads(pickle.dumps(coding)).labels(raw, PATH).tolist() == [[0, 2, VOID]]


def test_counts_and_labels_agree_on_what_is_known():
    values = np.array([[0, 1, 1, VOID]], np.uint8)

    assert value_counts(values) == {0: 1, 1: 2, VOID: 1}
