import pytest
import torch
from torch import Tensor
from torch.nn import functional

from atrous.ops.conv_dilated import conv_dilated, conv_dilated_pays

Pair = tuple[int, int]


@pytest.mark.parametrize(
    ("size", "taps", "padding", "dilation"),
    [
        ((9, 7), (3, 3), (6, 6), (6, 6)),  # taps at the side meet little, or nothing
        ((5, 5), (3, 3), (18, 18), (18, 18)),  # only the middle one meets anything
        ((33, 20), (3, 3), (12, 12), (12, 12)),
        ((16, 13), (3, 3), (5, 6), (5, 6)),
        ((14, 15), (3, 3), (0, 0), (6, 6)),  # no padding: the result is smaller
        ((9, 9), (3, 3), (20, 9), (6, 7)),  # more than enough
        ((12, 11), (4, 2), (9, 3), (6, 5)),
        ((7, 9), (1, 3), (0, 8), (5, 8)),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_and_its_gradients(
    size: Pair, taps: Pair, padding: Pair, dilation: Pair, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, *size, dtype=torch.float64).contiguous(memory_format=layout)
    weight = torch.randn(4, 5, *taps, dtype=torch.float64)
    results = []
    for way in (conv_dilated, plain):
        image, learnt = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = way(image, learnt, padding, dilation)
        y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y))
        results.append((y, image.grad, learnt.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def plain(x: Tensor, weight: Tensor, padding: Pair, dilation: Pair) -> Tensor:
    return functional.conv2d(x, weight, None, 1, padding, dilation)


def test_in_bfloat16_it_is_as_exact_as_torch() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(4, 64, 16, 16).bfloat16(), torch.randn(32, 64, 3, 3).bfloat16()
    found = {}
    for name, way, dtype in [
        ("ours", conv_dilated, torch.bfloat16),
        ("torch", plain, torch.bfloat16),
        ("truth", plain, torch.float64),
    ]:
        learnt = weight.detach().to(dtype).clone().requires_grad_()
        y = way(x.to(dtype), learnt, (6, 6), (6, 6))
        y.backward(torch.linspace(-1, 1, y.numel()).bfloat16().to(dtype).view_as(y))
        assert learnt.grad is not None
        found[name] = learnt.grad.double()
    ours, theirs = ((found[name] - found["truth"]).norm() for name in ("ours", "torch"))
    assert ours < 1.2 * theirs


def test_only_what_learns_gets_a_gradient() -> None:
    x, weight = torch.randn(1, 2, 6, 6), torch.randn(3, 2, 3, 3, requires_grad=True)
    conv_dilated(x, weight, (6, 6), (6, 6)).sum().backward()
    assert x.grad is None
    expected = torch.zeros(3, 2, 3, 3)
    expected[:, :, 1, 1] = x.sum((0, 2, 3))
    torch.testing.assert_close(weight.grad, expected)


def test_under_autocast_float32_gets_gradients_of_float32() -> None:
    x = torch.randn(1, 2, 9, 9, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv_dilated(x, weight, (6, 6), (6, 6))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    expected = torch.autograd.grad(plain(x, weight, (6, 6), (6, 6)).sum(), (x, weight))
    for leaf, true in zip((x, weight), expected, strict=True):
        assert leaf.grad is not None
        assert leaf.grad.dtype == torch.float32
        assert (leaf.grad - true).norm() <= 0.01 * true.norm()


@pytest.mark.parametrize(
    ("channels", "maps", "side", "rate", "pays"),
    [
        (2048, 256, 16, 6, True),
        (2048, 256, 65, 12, True),
        (1024, 21, 33, 12, True),
        (320, 256, 16, 12, True),  # a quarter of the products meets the map
        (320, 256, 33, 6, False),  # three quarters
        (2048, 256, 16, 2, False),
        (32, 32, 16, 12, False),
    ],
)
def test_it_pays_for_many_channels_or_where_little_meets_the_map(
    channels: int, maps: int, side: int, rate: int, *, pays: bool
) -> None:
    x, weight = torch.zeros(1, channels, side, side), torch.zeros(maps, channels, 3, 3)
    rates = rate, rate
    assert conv_dilated_pays(x, weight, (1, 1), rates, rates, 1) is pays


def test_it_pays_for_dense_ones_of_stride_1_on_a_cpu_only() -> None:
    x, weight, rates = torch.zeros(1, 1024, 9, 9), torch.zeros(32, 1024, 3, 3), (6, 6)
    assert conv_dilated_pays(x, weight, (1, 1), rates, rates, 1)
    assert not conv_dilated_pays(x, weight, (2, 2), rates, rates, 1)
    assert not conv_dilated_pays(x, torch.zeros(1024, 1, 3, 3), (1, 1), rates, rates, 1024)
    assert not conv_dilated_pays(x, torch.zeros(32, 1024, 1, 1), (1, 1), (0, 0), rates, 1)
    assert not conv_dilated_pays(x.to("meta"), weight, (1, 1), rates, rates, 1)
    assert not conv_dilated_pays(x, weight, (1, 1), (0, 0), rates, 1)  # too small for the taps
