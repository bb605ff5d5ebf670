"""`atrous crf`: what comes out of masks of every form, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.crf import DenseCRF
from atrous.data.masks import read_mask
from atrous.errors import InputError
from atrous.inference import sharpen as module
from atrous.inference.sharpen import sharpen, sharpen_labels
from atrous.inference.sharpen_config import SharpenConfig

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


@pytest.fixture
def truth():
    """Three areas with a slanted and a round border."""
    y, x = np.mgrid[:96, :128]
    labels = (x + y // 2 > 80).astype(np.uint8)
    labels[(x - 40) ** 2 + (y - 50) ** 2 < 500] = 2
    return labels


@pytest.fixture
def photo(truth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).normal(0, 4, (*truth.shape, 3))
    Image.fromarray((COLOURS[truth] + noise).astype(np.uint8)).save("photo.png")
    return Path("photo.png")


@pytest.fixture
def coarse(truth):
    """The truth in blocks of eight pixels."""
    return np.kron(truth[4::8, 4::8], np.ones((8, 8), np.uint8))


def run(photo, mask, **options):
    return sharpen(SharpenConfig(image=photo, mask=Path(mask), **options))


def test_a_coarse_mask_follows_the_image(photo, coarse, truth):
    Image.fromarray(coarse).save("mask.png")

    result = run(photo, "mask.png")

    found = read_mask(result.path).values
    assert result.path == Path("mask-crf.png")
    assert (coarse != truth).mean() > 0.03
    assert (found != truth).mean() < 0.1 * (coarse != truth).mean()
    assert result.changed == (found != coarse).mean()


def test_a_palette_its_indices_and_void_are_kept(photo, coarse):
    indices = np.array([0, 7, 15], np.uint8)[coarse]
    indices[20:30, 20:60] = 255
    palette = np.random.default_rng(1).integers(0, 256, 768).tolist()
    mask = Image.fromarray(indices)
    mask.putpalette(palette)
    mask.save("mask.png")

    kept, filled = run(photo, "mask.png"), run(photo, "mask.png", out=Path("full.png"), fill=True)

    with Image.open(kept.path) as picture:
        assert picture.mode == "P"
        assert picture.getpalette() == palette
        np.testing.assert_array_equal(np.asarray(picture) == 255, indices == 255)
    assert kept.values == (0, 7, 15)
    with Image.open(filled.path) as picture:
        assert set(np.unique(picture)) == {0, 7, 15}
    assert (kept.filled, filled.filled) == (0, 400)


def test_0_and_255_are_two_classes(photo, coarse, truth):
    Image.fromarray(np.uint8(255) * (coarse == 2)).save("mask.png")

    result = run(photo, "mask.png")

    assert result.values == (0, 255)
    assert (read_mask(result.path).values != 255 * (truth == 2)).mean() < 0.01


def test_a_mask_of_1_bit_stays_one(photo, coarse, truth):
    Image.fromarray(coarse == 2).save("mask.png")

    result = run(photo, "mask.png")

    found = Image.open(result.path)
    assert found.mode == "1"
    assert (np.asarray(found) != (truth == 2)).mean() < ((coarse == 2) != (truth == 2)).mean()


def test_colours_come_back_as_the_same_colours(photo, coarse):
    Image.fromarray(COLOURS[coarse]).save("mask.png")

    result = run(photo, "mask.png")

    with Image.open(result.path) as picture:
        found = np.asarray(picture)
        assert picture.mode == "RGB"
    assert {tuple(c) for c in found.reshape(-1, 3)} == {tuple(c) for c in COLOURS}
    nearest = ((found[:, :, None] - COLOURS.astype(int)) ** 2).sum(-1).argmin(-1)
    assert (nearest != coarse).mean() == pytest.approx(result.changed)


def test_16_bit_indices_and_a_named_void(photo, coarse):
    indices = np.array([0, 300, 5000], np.uint16)[coarse]
    indices[:8, :8] = 9
    Image.fromarray(indices).save("mask.png")

    found = read_mask(run(photo, "mask.png", void=9).path).values

    assert found.dtype == np.uint16
    assert set(np.unique(found)) == {0, 9, 300, 5000}
    assert (found[:8, :8] == 9).all()
    assert (found == 9).sum() == 64


def test_a_colour_can_be_void_and_stays_so(photo, coarse):
    colours = COLOURS[coarse].copy()
    colours[:8, :8] = 224, 224, 192  # VOC's
    Image.fromarray(colours).save("mask.png")

    found = read_mask(run(photo, "mask.png", void=0xE0E0C0).path).values

    assert (found[:8, :8] == 0xE0E0C0).all()
    assert (found == 0xE0E0C0).sum() == 64


def test_parameters_can_be_set_one_by_one(photo, coarse):
    Image.fromarray(coarse).save("mask.png")

    crf = run(photo, "mask.png", weight=4.0, rgb_std=7.0, iterations=2).crf

    assert (crf.appearance.weight, crf.appearance.xy_std, crf.appearance.rgb_std) == (4, 80, 7)
    assert (crf.iterations, crf.smoothness) == (2, DenseCRF.published("pydensecrf").smoothness)


def test_large_masks_are_sharpened_in_windows_without_a_seam(photo, coarse, monkeypatch):
    with Image.open(photo) as picture:
        image = np.asarray(picture)
    crf = DenseCRF(iterations=5)
    expected = sharpen_labels(image, coarse, 3, crf, 0.7)
    monkeypatch.setattr(module, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(module, "TILE", 80)

    found = sharpen_labels(image, coarse, 3, crf, 0.7)

    assert (found != expected).mean() < 0.003


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        (np.zeros((96, 128)), {}, "mask.png holds only 0; a CRF moves borders"),
        (np.zeros((90, 128)), {}, "mask.png is 128x90, but photo.png is 128x96; give the mask"),
        (np.arange(96 * 128).reshape(96, 128) % 200, {}, "200 different numbers; a mask has at"),
        (np.arange(96 * 128).reshape(96, 128) % 4, {"confidence": 0.2}, "0.25 by chance; give"),
        (np.arange(96 * 128).reshape(96, 128) % 2, {"void": 1}, "holds only 0;"),
        (np.arange(96 * 128).reshape(96, 128) % 2, {"void": 300}, "up to 255 at most; give"),
        (np.arange(96 * 128).reshape(96, 128) % 2, {"out": Path("photo.png")}, "exists; name"),
    ],
)
def test_what_cannot_be_sharpened_gets_one_line(photo, values, options, told):
    Image.fromarray(values.astype(np.uint8)).save("mask.png")

    with pytest.raises(InputError, match=told) as caught:
        run(photo, "mask.png", **options)

    assert "\n" not in str(caught.value)
    assert not Path("mask-crf.png").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"void": -1}, "that a mask holds"),
        ({"out": Path("mask.jpg")}, "other formats than .png"),
    ],
)
def test_options_out_of_their_range_are_told_at_once(options, told):
    with pytest.raises(InputError, match=told):
        SharpenConfig(image=Path("a.png"), mask=Path("b.png"), **options)
