"""Any number of bands, against the pixels that were written and against Pillow."""

from itertools import product

import numpy as np
import pytest
from PIL import Image

from atrous.data import read_image
from atrous.errors import InputError

LAYOUTS = [
    dict(zip(("deflate", "planes", "predictor", "tile", "big", "order"), values, strict=True))
    for values in product((False, True), (False, True), (False, True), (0, 32), (False, True), "<>")
    if values[0] or not values[2]  # a predictor needs a compression
]


def name(layout) -> str:
    return "-".join(
        key if value is True else f"{key}{value}" for key, value in layout.items() if value
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=name)
def test_every_band_comes_back_exactly(layout, make, put):
    rng = np.random.default_rng(0)
    for bands, dtype in product((1, 2, 3, 4, 5, 13), (np.uint8, np.uint16)):
        if bands == 1 and layout["planes"]:
            continue
        pixels = rng.integers(0, 65_536, (41, 37, bands)).astype(dtype)

        image = read_image(put("a.tif", make.tiff(pixels, **layout)))

        assert image.dtype == dtype
        np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_pillows_compressions_are_read_as_pillow_reads_them(compression, make, put):
    image = Image.fromarray(make.photo(40, 60))
    path = put("a.tif", make.encode(image, "TIFF", compression=compression))

    with Image.open(path) as expected:
        difference = np.abs(read_image(path).astype(int) - np.asarray(expected.convert("RGB")))

    assert difference.max() <= (2 if compression == "jpeg" else 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_other_kinds_are_read_as_pillow_shows_them(mode, orientation, make, put):
    image = Image.fromarray(make.photo(24, 32)).convert(mode)
    path = put("a.tif", make.encode(image, "TIFF", tiffinfo={274: orientation}))
    stored = np.asarray(image.convert("L" if mode in "1L" else "RGB")).astype(int)

    shown = np.rot90(stored, {1: 0, 3: 2, 6: -1}[orientation])

    assert np.abs(read_image(path).squeeze() - shown).max() <= 1


def test_white_may_be_zero(make, put):
    pixels = make.photo(channels=1)[..., None]

    image = read_image(put("a.tif", make.tiff(pixels, extra={262: 0})))

    np.testing.assert_array_equal(image, 255 - pixels)


def test_orientation_turns_bands(make, put):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 5), dtype=np.uint8)

    image = read_image(put("a.tif", make.tiff(pixels, extra={274: 6})))

    np.testing.assert_array_equal(image, np.rot90(pixels, -1))


def test_a_rare_compression_is_told(make, put, capfd):
    content = make.tiff(np.zeros((9, 9, 5), np.uint8), extra={259: 50_000})  # Zstandard

    with pytest.raises(InputError, match=r"cannot be decoded.*LZW"):
        read_image(put("a.tif", content))
    assert capfd.readouterr().err == ""


@pytest.mark.shared
def test_one_scene_in_three_geotiffs_is_one_array(shared):
    folder = shared / "data" / "geotiff"
    images = [read_image(folder / f"{name}.tif") for name in ("RGB.byte", "rgb_lzw", "rgb_deflate")]

    assert images[0].shape == (718, 791, 3)
    assert (images[0] == 0).all(axis=2).mean() == pytest.approx(0.325, abs=5e-4)  # its README
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
