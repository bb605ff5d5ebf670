"""Masks come out as the numbers that were written, whatever the file calls them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from atrous.data.masks import pack, read_mask, unpack, value_counts
from atrous.errors import InputError


def numbers(make, largest: int = 12) -> np.ndarray:
    return (make.photo(channels=1).astype(int) * largest // 255).astype(np.uint8)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_class_indices(format_, make, put):
    values = numbers(make)

    raw = read_mask(put("m", make.encode(values, format_)))

    assert not raw.coloured
    np.testing.assert_array_equal(raw.values, values)


def test_lossless_webp_keeps_colours(make, put):
    colours = make.photo()

    raw = read_mask(put("m.webp", make.encode(colours, "WEBP", lossless=True)))

    np.testing.assert_array_equal(np.dstack(unpack(raw.values)), colours)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("colours", [2, 4, 16, 200])  # Pillow packs them into 1, 2, 4, 8 bits
def test_a_palette_gives_indices_and_its_colours(format_, colours, make, put):
    values = numbers(make, colours - 1)
    image = Image.fromarray(values)
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    image.putpalette(palette[:colours].tobytes())

    raw = read_mask(put("m", make.encode(image, format_)))

    np.testing.assert_array_equal(raw.values, values)
    assert raw.colour(1) == pack(tuple(palette[1].tolist()))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_stretched(bits, make, put):
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 8), dtype=np.uint8)
    each = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :].reshape(5, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(each, axis=1))

    raw = read_mask(put("m.png", make.png(8, 5, bits, 0, rows)))

    np.testing.assert_array_equal(raw.values, values)


def test_sixteen_bits(make, put):
    values = numbers(make).astype(np.uint16) * 300

    for format_ in ("PNG", "TIFF"):
        raw = read_mask(put("m", make.encode(values, format_)))
        np.testing.assert_array_equal(raw.values, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_packed_and_alpha_is_left_out(mode, make, put):
    image = Image.fromarray(make.photo()).convert(mode)

    raw = read_mask(put("m.png", make.encode(image, "PNG")))

    assert raw.coloured
    np.testing.assert_array_equal(np.dstack(unpack(raw.values)), make.photo())


def test_alpha_of_grey_is_left_out(make, put):
    image = Image.fromarray(numbers(make)).convert("LA")

    np.testing.assert_array_equal(
        read_mask(put("m.png", make.encode(image, "PNG"))).values, numbers(make)
    )


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_a_turned_mask_is_turned_like_an_image(format_, make, put):
    exif = Image.Exif()
    exif[0x0112] = 6
    values = numbers(make)

    raw = read_mask(put("m", make.encode(values, format_, exif=exif)))

    np.testing.assert_array_equal(raw.values, np.rot90(values, -1))


@pytest.mark.parametrize(("name", "format_"), [("m.jpg", "JPEG"), ("m.webp", "WEBP")])
def test_lossy_formats_are_refused(name, format_, make, put):
    with pytest.raises(InputError, match="blurs class numbers -> save masks as PNG"):
        read_mask(put(name, make.encode(numbers(make), format_)))


@pytest.mark.parametrize("layout", [{}, {"tile": 32, "deflate": True}, {"big": True}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiffs_of_geographers_are_read(layout, dtype, make, put):
    values = numbers(make).astype(dtype)[..., None]

    raw = read_mask(put("m.tif", make.tiff(values, **layout)))

    assert raw.values.dtype == dtype
    np.testing.assert_array_equal(raw.values, values[..., 0])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "group4"])
def test_tiffs_of_one_bit_are_0_and_1(compression, make, put):
    image = Image.fromarray(make.halves() * 255).convert("1")

    raw = read_mask(put("m.tif", make.encode(image, "TIFF", compression=compression)))

    np.testing.assert_array_equal(raw.values, make.halves())


def test_a_damaged_mask_is_refused(make, put):
    content = make.encode(numbers(make), "PNG")

    with pytest.raises(InputError, match="truncated"):
        read_mask(put("m.png", content[:-30]))


def test_a_stream_that_cannot_be_unpacked_is_told(make, put):
    with pytest.raises(InputError, match=r"m\.png is damaged"):
        read_mask(put("m.png", make.png(40, 40, 8, 0, stream=b"no deflate stream")))


def test_more_bands_are_no_mask(make, put):
    with pytest.raises(InputError, match=r"m\.tif has 5 channels"):
        read_mask(put("m.tif", make.tiff(np.zeros((9, 9, 5), np.uint8))))


@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32]),
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        elements=st.integers(0, 9),
    )
)
def test_counts_are_those_of_numpy(values):
    expected = dict(
        zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True)
    )

    assert value_counts(values) == expected
