"""Everything that is wrong with the files of a data set is listed in one pass."""

import numpy as np
import pytest
from PIL import Image

from atrous.data import open_data
from atrous.errors import InputError
from atrous.labels import VOID


def test_all_faults_are_listed_in_one_pass_errors_first(small, errors):
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


def test_mask_of_another_size(small, the_error):
    small.mask("a", np.zeros((20, 30), np.uint8))

    finding = the_error(open_data(small.root))

    assert finding.path.name == "a.png"
    assert finding.what == "is 30 x 20, but its image a.jpg is 32 x 24"
    assert "export the mask again" in finding.remedy


def test_mask_drawn_on_the_unturned_image(small, the_error):
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


def test_truncated_jpeg(small, the_error):
    path = small.root / "train/images/a.jpg"
    path.write_bytes(path.read_bytes()[:-100])

    finding = the_error(open_data(small.root))

    assert finding.path == path
    assert finding.what.startswith("is truncated: it ends after ")


def test_truncated_png_mask(small, the_error):
    path = small.root / "train/masks/a.png"
    path.write_bytes(path.read_bytes()[:-20])

    assert "is truncated" in the_error(open_data(small.root)).what


def test_zero_byte_file(small, the_error):
    (small.root / "train/masks/a.png").write_bytes(b"")

    assert the_error(open_data(small.root)).what == "has 0 bytes"


def test_directory_named_like_an_image(small, the_error):
    (small.root / "train/images/x.png").mkdir()
    small.mask("x")

    finding = the_error(open_data(small.root))

    assert (finding.path.name, finding.what) == ("x.png", "is a directory, not an image")


def test_a_text_that_is_called_png(small, the_error):
    (small.root / "train/masks/a.png").write_text("class 1")

    assert "is no image" in the_error(open_data(small.root)).what


def test_one_pixel(small, the_error):
    small.image("a", np.zeros((1, 1, 3), np.uint8))
    small.mask("a", np.zeros((1, 1), np.uint8))

    finding = the_error(open_data(small.root))

    assert finding.what == "is 1 x 1 pixels; at least 8 x 8 are needed"


def test_a_bomb_among_images_and_masks(small, make, errors):
    (small.root / "train/images/a.jpg").write_bytes(make.bomb())
    (small.root / "train/masks/b.png").write_bytes(make.bomb())

    found = errors(open_data(small.root))

    assert len(found) == 2
    assert all("30,000 x 30,000 pixels" in finding.what for finding in found)


def test_a_grey_image_among_colour_is_converted_with_a_warning(small, make, warnings):
    small.image("a", make.photo(channels=1))

    spec = open_data(small.root)

    (finding,) = warnings(spec)
    assert "has 1 channel(s) among images of 3" in finding.what
    assert spec.read_image(spec.splits["train"][0]).shape == (24, 32, 3)


def test_an_image_with_other_bands_is_an_error(folder, make, the_error):
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


def test_mixed_depths_are_a_warning(small, warnings):
    (small.root / "train/images/a.jpg").unlink()
    small.image("a.png", np.zeros((24, 32), np.uint16))

    found = " ".join(finding.what for finding in warnings(open_data(small.root)))

    assert "is one of 1 images of 16 bit among 3" in found


def test_the_same_image_in_train_and_val(small, warnings):
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


def test_no_message_has_more_than_one_line_or_a_long_one(small):
    small.image("na\nme")
    rng = np.random.default_rng(0)
    small.mask("a", rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))

    for finding in open_data(small.root).findings:
        assert "\n" not in str(finding)
        assert len(finding.what) <= 300
