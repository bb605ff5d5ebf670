import numpy as np
import pytest
from PIL import Image

from atrous.errors import InputError
from atrous.inference import Segmentation
from atrous.inference.segmentation import display_rgb, to_rgb, uncertainty
from atrous.labels import LabelSet

LABELS = LabelSet(("road", "sky"), ((128, 64, 128), (70, 130, 180)))


@pytest.fixture
def result():
    labels = np.array([[0, 1, 255], [1, 0, 0]], np.uint8)
    return Segmentation(labels, LABELS, None, None, np.full((2, 3, 3), 100, np.uint8))


def test_a_saved_mask_holds_the_labels_and_the_colours(result, tmp_path):
    result.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), result.labels)
        assert mask.convert("RGB").getpixel((1, 0)) == (70, 130, 180)
        assert mask.convert("RGB").getpixel((2, 0)) == (0, 0, 0)


def test_a_format_that_changes_labels_is_refused(result, tmp_path):
    with pytest.raises(InputError, match=r"mask\.jpg is not a \.png"):
        result.save(tmp_path / "mask.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("opacity", "pixel"), [(0, (100, 100, 100)), (1, (128, 64, 128))])
def test_opacity_goes_from_image_to_colours(result, opacity, pixel):
    assert result.overlay(opacity).getpixel((0, 0)) == pixel


def test_opacity_outside_its_range_is_refused(result):
    with pytest.raises(InputError, match=r"opacity is 1\.5"):
        result.overlay(1.5)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_image_can_be_looked_at(channels, dtype):
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1.0}[dtype]
    image = np.full((4, 5, channels), white, dtype)
    picture = to_rgb(image)
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8
    assert (picture == 255).all()


def test_eight_bits_and_fractions_are_shown_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(display_rgb(image), image)
    np.testing.assert_array_equal(display_rgb(image / np.float32(255)), image)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_an_overlay_of_sixteen_bits_is_as_bright_as_its_picture(bits):
    """Whatever part of the range a sensor uses, black is black and white is white."""
    ramp = np.linspace(0, 2**bits - 1, 300 * 100).reshape(300, 100, 1)
    labels = np.zeros((300, 100), np.uint8)
    result = Segmentation(labels, LABELS, None, None, ramp.round().astype(np.uint16))
    shown = np.asarray(result.overlay(0)).astype(float)
    expected = ((ramp / (2**bits - 1) - 0.01) / 0.98).clip(0, 1) * 255
    assert np.abs(shown - expected).max() < (3 if bits > 8 else 4)


def test_a_few_bright_things_on_an_even_ground_are_shown_with_their_levels():
    image = np.full((200, 200, 1), 500, np.uint16)
    image[0, :3, 0] = 600, 1000, 1500  # fewer than one pixel in a hundred
    shown = display_rgb(image)[..., 0]
    assert shown[0, :3].tolist() == [25, 127, 255]
    assert (shown[1:] == 0).all()


def test_an_even_image_of_sixteen_bits_can_be_looked_at():
    assert display_rgb(np.full((3, 4, 1), 700, np.uint16)).shape == (3, 4, 3)


def test_uncertainty_is_the_entropy_over_its_largest_value():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5)).transpose(2, 0, 1)
    expected = -(probabilities * np.log(probabilities)).sum(0) / np.log(4)
    np.testing.assert_allclose(uncertainty(probabilities.astype(np.float32)), expected, rtol=1e-5)
