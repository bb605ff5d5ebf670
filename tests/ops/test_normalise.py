import numpy as np
import pytest
import torch

from atrous.errors import InputError
from atrous.ops import Normalization, normalise


@pytest.mark.parametrize(
    ("dtype", "white"), [(torch.uint8, 255), (torch.uint16, 65535), (torch.float32, 1)]
)
def test_every_dtype_is_brought_to_the_unit_scale_first(dtype, white):
    image = np.linspace(0, white, 2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    images = torch.from_numpy(image).to(dtype)
    figures = Normalization((0.1, 0.5, 0.9), (0.2, 0.3, 0.4))

    normalised = normalise(images, figures)

    unit = images.to(torch.float64) / white
    for channel in range(3):
        expected = (unit[:, channel] - figures.mean[channel]) / figures.std[channel]
        torch.testing.assert_close(normalised[:, channel].double(), expected, atol=1e-5, rtol=1e-5)
    assert normalised.dtype == torch.float32


def test_the_images_given_are_not_changed():
    images = torch.full((1, 3, 2, 2), 0.5)
    normalise(images, Normalization.imagenet())
    assert torch.equal(images, torch.full((1, 3, 2, 2), 0.5))


def test_images_with_other_channels_are_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"have 1 channel\(s\).*made for 3.*in_channels=1"):
        normalise(torch.zeros(1, 1, 4, 4), Normalization.imagenet())


def test_three_channels_get_imagenet_figures_and_others_neutral_ones():
    assert Normalization.for_channels(3) == Normalization.imagenet()
    assert Normalization.for_channels(5) == Normalization((0.5,) * 5, (0.25,) * 5)


def test_white_may_lie_elsewhere_than_at_one():
    image = torch.rand(1, 2, 4, 5)
    figures = Normalization((0.3, 0.6), (0.2, 0.5))
    dimmed = normalise(image / 16, figures.with_white_at(1 / 16))
    torch.testing.assert_close(dimmed, normalise(image, figures), atol=1e-5, rtol=0)
    assert figures.with_white_at(1.0) == figures
    assert figures.with_white_at(1 / 16).with_white_at(1 / 4) == figures.with_white_at(1 / 4)


def test_figures_survive_json():
    figures = Normalization((0.25, 0.125), (0.5, 0.75))
    assert Normalization.from_json(figures.to_json()) == figures
    dim = figures.with_white_at(1 / 16)
    assert Normalization.from_json(dim.to_json()) == dim
    assert Normalization.from_json({"mean": [0.25, 0.125], "std": [0.5, 0.75]}) == figures


@pytest.mark.parametrize("white", [0.0, 1.5, float("nan")])
def test_white_lies_above_zero_and_at_most_at_one(white):
    with pytest.raises(InputError, match=r"normalization white is .*above 0, at most 1"):
        Normalization((0.5,), (0.5,), white)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), (0.5, 0.5), "1 means and 2 standard deviations"),
        ((), (), "0 means"),
        ((0.5,), (0.0,), "must be above 0"),
        ((0.5,), (float("nan"),), "must be above 0"),
    ],
)
def test_impossible_figures_are_refused(mean, std, message):
    with pytest.raises(InputError, match=message):
        Normalization(mean, std)
