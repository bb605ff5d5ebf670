from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders.vgg import VGG16
from atrous.errors import InputError
from atrous.inference import shift_and_stitch

WINDOW = 3 + 1 + 2 * 2 + 2 + 4 * 1  # pixels that one score of `strided` sees


def strided() -> nn.Sequential:
    """A classifier without padding, of stride 4."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 3, 2),
    ).eval()


def rarefied(network: nn.Sequential) -> Callable[[Tensor], Tensor]:
    """The paper's other way (Sec. 3.2): strides 1, and zeros between the taps of later filters."""

    def score(x: Tensor) -> Tensor:
        step = 1
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                outs, ins, side, _ = layer.weight.shape
                filters = torch.zeros(outs, ins, step * (side - 1) + 1, step * (side - 1) + 1)
                filters[..., ::step, ::step] = layer.weight  # f'_ij = f_(i/s)(j/s) or 0
                x = functional.conv2d(x, filters, layer.bias)
            elif isinstance(layer, nn.MaxPool2d):
                corners = [x[..., i * step :, j * step :] for i in (0, 1) for j in (0, 1)]
                height, width = corners[-1].shape[-2:]
                x = torch.stack([c[..., :height, :width] for c in corners]).amax(0)
                step *= 2
            else:
                x = layer(x)
        return x

    return score


@pytest.mark.parametrize("size", [(17, 22), (24, 19), (16, 16), (20, 21)])
def test_it_equals_the_classifier_on_every_window(size: tuple[int, int]) -> None:
    network, images = strided(), torch.randn(2, 2, *size)
    with torch.no_grad():
        found = shift_and_stitch(network, images, 4)
        height, width = (side - WINDOW + 1 for side in size)
        assert found.shape == (2, 3, height, width)
        for row in range(height):
            for column in range(width):
                window = images[..., row : row + WINDOW, column : column + WINDOW]
                score = network(window)
                assert score.shape[-2:] == (1, 1)
                torch.testing.assert_close(found[..., row, column], score[..., 0, 0])


@pytest.mark.parametrize("size", [(17, 22), (24, 19)])
def test_it_equals_the_rarefied_network(size: tuple[int, int]) -> None:
    network, images = strided(), torch.randn(2, 2, *size)
    with torch.no_grad():
        torch.testing.assert_close(shift_and_stitch(network, images, 4), rarefied(network)(images))


def test_a_finer_stride_than_one_holds_every_second_score() -> None:
    network, images = strided(), torch.randn(1, 2, 30, 23)
    with torch.no_grad():
        dense = shift_and_stitch(network, images, 4)
        torch.testing.assert_close(
            shift_and_stitch(network, images, 4, wanted=2), dense[..., ::2, ::2]
        )
        torch.testing.assert_close(network(images), dense[..., ::4, ::4])
        assert shift_and_stitch(network, images, 4, wanted=4).equal(network(images))


def test_it_equals_the_dilated_encoder_away_from_the_border() -> None:
    # VGG-16 of output stride 32, shifted by 8 pixels, against the same weights at output stride 8
    torch.manual_seed(0)
    with torch.device("meta"):
        coarse, dense = VGG16(), VGG16(output_stride=8)
    for one, other in zip(coarse.modules(), dense.modules(), strict=True):
        if isinstance(one, nn.Conv2d):
            ins = 3 if one.in_channels == 3 else one.in_channels // 16
            outs = one.out_channels // 16
            spread = (2 / (9 * ins)) ** 0.5
            one.weight = other.weight = nn.Parameter(spread * torch.randn(outs, ins, 3, 3))
            one.bias = other.bias = nn.Parameter(torch.randn(outs) / 9)
    images = torch.randn(1, 3, 288, 320)
    with torch.no_grad():
        found = shift_and_stitch(lambda x: coarse(x)[-1], images, 32, wanted=8)
        expected = dense(images)[-1]
    assert found.shape == expected.shape
    inner = (..., slice(15, -15), slice(15, -15))  # 212 pixels reach a cell: 106 either way
    assert found[inner].numel() > 500
    torch.testing.assert_close(found[inner], expected[inner], atol=1e-5, rtol=1e-4)


def test_a_stride_that_cannot_be_had_is_refused() -> None:
    for wanted in (0, 3, 8):
        with pytest.raises(InputError, match=f"wanted is {wanted}, but must divide the stride 4"):
            shift_and_stitch(strided(), torch.zeros(1, 2, 20, 20), 4, wanted=wanted)
