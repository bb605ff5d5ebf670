"""Images come out as they should be seen; Pillow is the independent reader."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from atrous.data import read_image
from atrous.errors import InputError


def shown(path, mode="RGB") -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_colour_comes_in_rgb_order(format_, make, put):
    path = put("a", make.encode(make.photo(), format_))

    image = read_image(path)

    assert (image.shape, image.dtype) == ((24, 32, 3), np.uint8)
    np.testing.assert_array_equal(image, shown(path))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_grey_has_one_channel_unless_three_are_wanted(format_, make, put):
    path = put("a", make.encode(make.photo(channels=1), format_))

    grey, colour = read_image(path), read_image(path, 3)

    assert grey.shape == (24, 32, 1)
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(format_, orientation, make, put):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = put("a", make.encode(make.photo(), format_, exif=exif))

    np.testing.assert_array_equal(read_image(path), shown(path))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png_is_what_pillow_shows(mode, make, put):
    image = Image.fromarray(make.photo()).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(make.photo(channels=1, seed=1)))
    path = put("a.png", make.encode(image, "PNG"))

    expected = shown(path, "L" if mode in ("1", "L", "LA") else "RGB")

    np.testing.assert_array_equal(read_image(path).squeeze(), expected)


def test_a_transparent_palette_entry_changes_nothing(make, put):
    image = Image.fromarray(make.photo()).quantize(20)
    path = put("a.png", make.encode(image, "PNG", transparency=3))

    np.testing.assert_array_equal(read_image(path), shown(path))


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(format_, make, put):
    inks = np.dstack([make.photo(), make.photo(channels=1, seed=5) // 3])
    path = put("a", make.encode(Image.fromarray(inks, "CMYK"), format_))

    difference = np.abs(read_image(path).astype(int) - shown(path))

    assert difference.max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_kept(channels, make, put):
    pixels = np.random.default_rng(0).integers(0, 65_536, (9, 12, channels)).astype(np.uint16)
    _, content = cv2.imencode(".png", pixels[..., ::-1])

    image = read_image(put("a.png", content.tobytes()))

    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, pixels)


def test_colour_becomes_grey_by_its_luminance(make, put):
    path = put("a.png", make.encode(make.photo(), "PNG"))

    difference = np.abs(read_image(path, 1)[..., 0].astype(int) - shown(path, "L"))

    assert difference.max() <= 1


def test_other_numbers_of_channels_are_refused(make, put):
    colour = put("a.png", make.encode(make.photo(), "PNG"))
    bands = put("b.tif", make.tiff(np.zeros((9, 9, 5), np.uint8)))

    with pytest.raises(InputError, match=r"a\.png has 3 channel\(s\), but 5 are needed"):
        read_image(colour, 5)
    with pytest.raises(InputError, match=r"b\.tif has 5 channel\(s\), but 3 are needed"):
        read_image(bands, 3)


def test_pixels_that_cannot_be_decoded_are_told_once(make, put, capfd):
    content = bytearray(make.encode(make.photo(64, 64), "JPEG"))
    counts = content.index(b"\xff\xc4") + 5
    content[counts : counts + 16] = b"\xff" * 16  # a Huffman table that cannot be

    with pytest.raises(InputError, match=r"a\.jpg cannot be decoded.*copy it again"):
        read_image(put("a.jpg", bytes(content)))
    assert "OpenCV" not in capfd.readouterr().err
