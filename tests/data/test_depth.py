"""16-bit files that use fewer bits: what counts as white, and who is told."""

import numpy as np
import pytest
import torch

from atrous.data import file_facts, open_data
from atrous.ops import Normalization, normalise


def fill(folder, make, levels, *, split="train", name="a"):
    """Write a pair whose image spans 0..levels in a 16-bit PNG; return the picture at 8 bit."""
    picture = make.photo(channels=1, seed=len(name)).copy()
    picture.flat[:2] = 0, 255
    folder.image(f"{name}.png", np.rint(picture / 255.0 * levels).astype(np.uint16), split)
    folder.mask(name, split=split)
    return picture


@pytest.mark.parametrize(
    ("highest", "white"),
    [
        (65_535, 1),
        (16_384, 1),
        (16_383, 16_383),
        (4_095, 4_095),
        (3_000, 4_095),
        (255, 255),
        (3, 255),
    ],
)
def test_white_is_the_largest_number_of_as_many_bits_as_are_used(folder, make, highest, white):
    fill(folder, make, highest)
    fill(folder, make, highest // 2, split="val", name="b")

    spec = open_data(folder.root)

    assert spec.white == (1 if white == 1 else white / 65_535)
    notes = [note for note in spec.notes if "16-bit" in note]
    assert notes == [] if white == 1 else len(notes) == 1


def test_twelve_bits_are_told_in_one_line(folder, make):
    fill(folder, make, 4_095)

    (note,) = (note for note in open_data(folder.root).notes if "16-bit" in note)

    assert note == (
        "16-bit images use only values up to 4,095; a network trained on them takes 4,095 as white"
    )


def test_eight_bits_are_as_they_were(small):
    assert open_data(small.root).white == 1


def test_a_network_sees_the_same_whatever_the_depth_of_the_files(folder, make):
    picture = fill(folder, make, 4_095)
    figures = Normalization((0.4,), (0.2,))
    spec = open_data(folder.root)
    deep = spec.read_image(spec.splits["train"][0])

    from_deep, from_shallow = (
        normalise(torch.from_numpy(image).permute(2, 0, 1)[None], used)
        for image, used in (
            (deep, figures.with_white_at(spec.white)),
            (picture[..., None], figures),
        )
    )

    assert deep.max() == 4_095
    torch.testing.assert_close(from_deep, from_shallow, atol=0.5 / 4_095 / 0.2 + 1e-5, rtol=0)


def test_mixed_depths_keep_white_where_it_is_and_are_told(small, make):
    (small.root / "train/images/a.jpg").unlink()
    fill(small, make, 4_095)

    spec = open_data(small.root)

    assert spec.white == 1
    (finding,) = (finding for finding in spec.findings if "16 bit" in finding.what)
    assert finding.what == (
        "is one of 1 images of 16 bit among 3; those of 16 bit use only values up to 4,095, "
        "almost black beside 8 bit"
    )
    assert "stretch them" in finding.remedy


def test_the_highest_value_is_kept_from_scan_to_scan(folder, make, monkeypatch):
    fill(folder, make, 4_095)
    first = open_data(folder.root)

    def decode_image(*_):
        raise AssertionError("nothing is decoded twice")

    monkeypatch.setattr(file_facts, "decode_image", decode_image)

    assert open_data(folder.root).white == first.white == 4_095 / 65_535


def test_damaged_pixels_of_sixteen_bits_are_found_before_training(folder, make):
    fill(folder, make, 4_095)
    fill(folder, make, 4_095, name="bb")
    rows = b"\5" * 24 * (1 + 2 * 32)  # there is no filter 5
    (folder.root / "train/images/bb.png").write_bytes(make.png(32, 24, 16, 0, rows))

    spec = open_data(folder.root)

    assert [pair.image.stem for pair in spec.splits["train"]] == ["a"]
    assert any("cannot be decoded" in finding.what for finding in spec.findings)
