import numpy as np
import pytest
from PIL import Image

from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.inference.images import open_image


def test_grey_arrays_get_a_channel_axis():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(open_image(grey, 1)[..., 0], grey)


def test_the_depth_of_an_image_does_not_change_its_labels(model):
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    predictor = Predictor(model, device="cpu")
    expected = predictor(photo).labels
    deep = photo.astype(np.uint16) * 257
    for same in (deep, photo / 255, (photo / 255).astype(np.float32)):
        assert (predictor(same).labels == expected).mean() > 0.999


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pil_images_of_any_mode_become_grey_or_colour(mode, channels):
    image = Image.new("RGB", (5, 4), (200, 10, 10)).convert(mode)
    assert open_image(image, channels).shape == (4, 5, channels)


def test_pil_images_are_turned_upright():
    image = Image.new("RGB", (5, 4))
    image.getexif()[0x0112] = 6
    assert open_image(image, 3).shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5, 4), np.uint8), r"has 4 channel\(s\), but the model was trained on 3"),
        (np.zeros((4, 5), np.uint8), r"has 1 channel\(s\)"),
        (np.zeros((3, 4, 5), np.uint8), "the channels come last"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"give \(H, W\) or \(H, W, C\)"),
        (np.zeros((0, 5, 3), np.uint8), "nothing empty"),
        (np.full((4, 5, 3), np.nan), "NaN"),
        (np.full((4, 5, 3), np.inf), "infinity"),
        (np.full((4, 5, 3), 128.0), "from 128 to 128"),
        (np.full((4, 5, 3), -0.1), "0..1"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        ([[1, 2], [3, 4]], "came as list"),
    ],
)
def test_unusable_arrays_are_told_in_one_line(array, words):
    with pytest.raises(InputError, match=words) as caught:
        open_image(array, 3)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told_by_name(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg"):
        open_image(tmp_path / "gone.jpg", 3)
