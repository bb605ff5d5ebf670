from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from atrous.ops.conv_doubled import FEWEST_PIXELS, conv_doubled, conv_doubled_pays

Way = Callable[[Tensor, Tensor | None, Tensor], Tensor]


@pytest.mark.parametrize(
    ("shape", "skip", "count"),
    [((2, 5, 4, 6), 3, 7), ((1, 2, 1, 1), 4, 1), ((3, 1, 5, 3), 0, 2), ((1, 16, 9, 2), 8, 16)],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_of_the_enlarged_map_and_its_gradients(
    shape: tuple[int, int, int, int], skip: int, count: int, layout: torch.memory_format
) -> None:
    x, side, weight = made(shape, skip, count, torch.float64)
    x, weight = (t.detach().contiguous(memory_format=layout) for t in (x, weight))
    found, expected = (
        with_gradients(convolve, x, side, weight) for convolve in (conv_doubled, enlarged)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    x, side, weight = made((2, 2, 3, 2), 1, 2, torch.float64)
    assert torch.autograd.gradcheck(conv_doubled, (x, side, weight))


@pytest.mark.parametrize("autocast", [False, True])
def test_it_is_as_exact_as_the_plain_way(autocast: bool) -> None:
    given = made((2, 64, 16, 16), 32, 24, torch.float32)
    exact = with_gradients(enlarged, *(t.detach().double() for t in given))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        plain, found = (with_gradients(way, *given) for way in (enlarged, conv_doubled))
    for one, other, truth in zip(found, plain, exact, strict=True):
        assert one.dtype == other.dtype
        assert error(one, truth) < 1.5 * error(other, truth) + 1e-7


def test_the_same_bits_come_again() -> None:
    given = made((4, 32, 16, 16), 16, 16, torch.float32)
    first, again = (with_gradients(conv_doubled, *given) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_it_pays_for_large_maps_that_are_doubled_where_weights_learn() -> None:
    x, weight = torch.zeros(2, 3, FEWEST_PIXELS // 16, 8), torch.zeros(4, 3, 3, 3)
    size, learning = (FEWEST_PIXELS // 8, 16), weight.clone().requires_grad_()
    assert conv_doubled_pays(x, size, learning)
    assert not conv_doubled_pays(x, size, weight)
    assert not conv_doubled_pays(x, (size[0] - 1, 16), learning)
    assert not conv_doubled_pays(x[:, :, 1:], (size[0] - 2, 16), learning)
    assert not conv_doubled_pays(x.to("meta"), size, learning)
    with torch.no_grad():
        assert not conv_doubled_pays(x, size, learning)


def made(shape: tuple[int, ...], skip: int, count: int, dtype: torch.dtype) -> list[Tensor]:
    """Return a small map, a skip (of no channels, too) and weights, all with gradients."""
    generator = torch.Generator().manual_seed(0)
    images, channels, height, width = shape
    shapes = (shape, (images, skip, 2 * height, 2 * width), (count, channels + skip, 3, 3))
    drawn = [torch.randn(s, generator=generator, dtype=dtype) for s in shapes]
    return [t.requires_grad_() for t in drawn]


def enlarged(x: Tensor, skip: Tensor | None, weight: Tensor) -> Tensor:
    x = functional.interpolate(x, scale_factor=2, mode="nearest")
    return functional.conv2d(x if skip is None else torch.cat([x, skip], 1), weight, padding=1)


def with_gradients(convolve: Way, x: Tensor, skip: Tensor, weight: Tensor) -> list[Tensor]:
    """Return the map and what a fixed slope there gives to all that goes in."""
    given = [t.detach().requires_grad_() for t in (x, skip, weight)]
    y = convolve(given[0], given[1] if skip.numel() else None, given[2])
    slope = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward(y, slope.to(y))
    return [y.detach(), *(t.grad for t in given if t.grad is not None)]


def error(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())
