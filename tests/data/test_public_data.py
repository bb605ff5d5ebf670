"""The public data sets, counted; their READMEs give the numbers."""

import pytest

from atrous.data import open_data


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
