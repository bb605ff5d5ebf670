"""Headers are judged by signature, before any decoder sees the file."""

import io
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data import judge_header
from atrous.data.decoding.headers import judge_file
from atrous.errors import InputError


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        judge_header(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_size_is_what_pillow_says(format_, make, put):
    path = put("picture.any", make.encode(make.photo(17, 29), format_))

    header = judge_header(path)

    assert (header.format.upper(), header.width, header.height) == (format_, 29, 17)
    assert (header.channels, header.bits, header.frames) == (3, 8, 1)


@pytest.mark.parametrize("options", [{"lossless": True}, {}, {"exif": Image.Exif()}])
def test_every_kind_of_webp_tells_its_size(options, make, put):
    header = judge_header(put("a.webp", make.encode(make.photo(17, 301), "WEBP", **options)))

    assert (header.width, header.height) == (301, 17)
    assert header.lossy != options.get("lossless", False)


def test_the_name_of_a_file_does_not_matter(make, put):
    assert judge_header(put("a.png", make.encode(make.photo(), "JPEG"))).format == "JPEG"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_the_size_as_shown(format_, orientation, make, put):
    exif = Image.Exif()
    exif[0x0112] = orientation

    header = judge_header(put("a", make.encode(make.photo(24, 32), format_, exif=exif)))

    shown = (header.width, header.height)
    assert shown == ((24, 32) if orientation >= 5 else (32, 24))
    assert header.orientation == orientation


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)]
)
def test_channels_of_png_leave_alpha_out_and_expand_palettes(mode, channels, make, put):
    image = Image.fromarray(make.photo()).convert(mode)

    assert judge_header(put("a.png", make.encode(image, "PNG"))).channels == channels


def test_cmyk_counts_as_colour(make, put):
    image = Image.fromarray(make.photo()).convert("CMYK")

    assert judge_header(put("a.jpg", make.encode(image, "JPEG"))).channels == 3
    assert judge_header(put("a.tif", make.encode(image, "TIFF"))).channels == 3


def test_every_band_of_a_tiff_counts(make, put):
    pixels = np.zeros((9, 8, 7), np.uint16)

    header = judge_header(put("a.tif", make.tiff(pixels)))

    assert (header.channels, header.bits) == (7, 16)


def test_missing_file(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.png")


def test_directory_named_like_an_image(tmp_path):
    (tmp_path / "x.png").mkdir()

    assert "is a directory" in refusal(tmp_path / "x.png")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")

    assert "is no regular file" in refusal(tmp_path / "pipe.png")


def test_a_file_that_may_not_be_read(make, put, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    path = put("a.png", make.encode(make.photo(), "PNG"))
    monkeypatch.setattr(Path, "open", denied)

    assert "cannot be read (Permission denied)" in refusal(path)


def test_empty_file(put):
    assert "has 0 bytes -> copy it again" in refusal(put("a.jpg", b""))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"hello, I am a text", "is no image"),
        (b"GIF89a" + bytes(40), "is a GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"PK\x03\x04" + bytes(40), "zip"),
        (b"\x93NUMPY\x01\0" + bytes(40), "NumPy"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<html>404</html>", "text file"),
    ],
)
def test_what_is_no_image_is_named(content, what, put):
    message = refusal(put("a.png", content))

    assert what in message
    assert message.count("a.png") == message.count("->") == 1
    assert "PNG" in message.partition("->")[2]


def test_a_bomb_is_refused_at_its_header(make, put):
    content = make.bomb()
    path = put("bomb.png", content)
    assert len(content) < 120_000

    start = time.process_time()  # a busy machine does not count
    message = refusal(path)

    assert time.process_time() - start < 0.1
    assert "is 30,000 x 30,000 pixels" in message
    assert "cut it into tiles" in message


def test_a_jpeg_that_claims_too_much_is_refused(make, put):
    content = bytearray(make.encode(make.photo(), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 65_000, 65_000)

    assert "65,000 x 65,000" in refusal(put("a.jpg", bytes(content)))


def test_a_picture_without_pixels_is_refused(make, put):
    assert "is 0 x 5 pixels" in refusal(put("a.png", make.png(0, 5, 8, 0, b"")))


def test_several_pages_are_refused_but_a_thumbnail_is_not(make, put):
    pages = [Image.fromarray(make.photo(seed=seed)) for seed in range(3)]
    content = make.encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert "holds several pictures" in refusal(put("pages.tif", content))

    small = Image.fromarray(make.photo(6, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    content = make.encode(pages[0], "TIFF", save_all=True, append_images=[small])
    assert judge_header(put("thumbnail.tif", content)).frames == 1


def test_directories_in_a_circle_end(make, put):
    content = bytearray(make.tiff(np.zeros((9, 9, 1), np.uint8)))
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * count, directory)

    assert judge_header(put("a.tif", bytes(content))).frames == 1


def test_a_directory_beyond_any_file_is_told(make, put):
    content = bytearray(make.tiff(np.zeros((9, 9, 1), np.uint8), big=True))
    struct.pack_into("<Q", content, 8, 2**64 - 1)

    assert "inside its header" in refusal(put("a.tif", bytes(content)))


def test_many_directories_that_share_a_long_list_cost_little(put):
    """A million offsets, named by a hundred directories: 10 GB of numbers if all were read."""
    many, values = 100, 1_000_000
    body = b"II*\0" + struct.pack("<I", 8)
    for number in range(many):
        following = 8 + 30 * (number + 1)
        reduced = struct.pack("<HHII", 254, 4, 1, 1)
        offsets = struct.pack("<HHII", 273, 4, values, 8 + 30 * many)
        body += struct.pack("<H", 2) + reduced + offsets + struct.pack("<I", following)
    path = put("a.tif", body + bytes(4 * values))

    start = time.process_time()
    assert "TIFF without a picture" in refusal(path)
    assert time.process_time() - start < 0.5


def test_animations_are_refused(make, put):
    frames = [Image.fromarray(make.photo(seed=seed)) for seed in range(4)]
    for format_ in ("PNG", "WEBP"):
        content = make.encode(frames[0], format_, save_all=True, append_images=frames[1:])

        assert "several pictures" in refusal(put("a.any", content))


def test_decimal_samples_are_refused(make, put):
    content = make.encode(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF")

    assert "8 or 16 bit whole numbers" in refusal(put("a.tif", content))


def judged(content: bytes):
    """Return the header, or None where it is refused in one line."""
    try:
        return judge_file(Path("a.png"), io.BytesIO(content))
    except InputError as error:
        message = str(error)
    assert message.startswith("a.png ")
    assert "\n" not in message
    return None


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_header_cut_anywhere_is_told_or_read(format_, make):
    content = make.encode(make.photo(17, 29), format_)

    for length in range(min(len(content), 700)):
        header = judged(content[:length])
        assert header is None or (header.width, header.height) == (29, 17)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_damaged_headers_never_raise_anything_else(format_, make):
    content = make.encode(make.photo(17, 29), format_)
    rng = np.random.default_rng(3)

    for _ in range(2_000):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 200), 3):
            damaged[place] = rng.integers(0, 256)
        judged(bytes(damaged))
