"""A file whose end is missing is refused, whichever decoder would have filled it with grey."""

import numpy as np
import pytest
from PIL import Image

from atrous.data import judge_header, read_image
from atrous.data.decoding.truncation import check_whole
from atrous.errors import InputError

FORMATS = ["JPEG", "PNG", "TIFF", "BMP", "WEBP"]


def check(path) -> None:
    check_whole(path, judge_header(path), path.read_bytes())


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_complete_file_passes(format_, mode, make, put):
    check(put("a", make.encode(Image.fromarray(make.photo()).convert(mode), format_)))


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_cut_inside_its_pixels_is_refused(format_, make, put):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = make.encode(noise, format_)

    # Pillow writes the directory of a TIFF last: without it nothing tells where the pixels are
    for share in (0.5, 0.8, 0.999):
        path = put("a", content[: int(len(content) * share)])
        with pytest.raises(InputError, match=r"truncated|inside its header"):
            check(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_no_cut_of_a_jpeg_is_decoded_in_silence(progressive, make, put):
    content = make.encode(make.photo(64, 64), "JPEG", progressive=progressive)

    for length in range(2, len(content) - 1, 17):
        with pytest.raises(InputError):
            read_image(put("a.jpg", content[:length]))


def test_the_thumbnail_in_the_exif_does_not_stand_for_the_end(make, put):
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd9 and more"
    content = make.encode(make.photo(64, 64), "JPEG", exif=exif)
    assert content.count(b"\xff\xd9") >= 1

    with pytest.raises(InputError, match=r"is truncated: it ends after [\d,]+ bytes"):
        check(put("a.jpg", content[:-40]))


def test_what_cameras_put_behind_the_end_is_fine(make, put):
    check(put("a.jpg", make.encode(make.photo(), "JPEG") + b"trailer of a camera" * 50))


def test_a_png_with_a_wrong_check_sum_is_refused(make, put, capfd):
    content = bytearray(make.encode(make.photo(64, 64), "PNG"))
    content[len(content) // 2] ^= 0xFF

    with pytest.raises(InputError, match="wrong check sum of chunk IDAT"):
        read_image(put("a.png", bytes(content)))
    assert capfd.readouterr().err == ""


def test_a_strip_that_reaches_beyond_the_end_is_refused(make, put):
    pixels = np.zeros((40, 40, 5), np.uint8)
    claims_more = make.tiff(pixels, extra={279: 60_000})  # bytes of its strip

    with pytest.raises(InputError, match="truncated"):
        check(put("a.tif", claims_more))
