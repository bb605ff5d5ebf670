"""The gradients of depthwise and dilated convolutions, in bf16, on a CPU."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.training.convolutions import own_convolutions


def gradients(conv: nn.Module, x: Tensor, *, mixed: bool, exact: bool = True) -> list[Tensor]:
    junk = [torch.full((1 << 20,), 1e30) for _ in range(8)]  # what a careless kernel would return
    del junk
    image = x.clone(memory_format=torch.preserve_format).requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        if exact:
            with own_convolutions(conv):
                y = conv(image)
        else:
            y = conv(image)
    assert y.dtype == (torch.bfloat16 if mixed else torch.float32)
    y.float().square().sum().backward()
    assert image.grad is not None
    return [image.grad, *(p.grad for p in conv.parameters() if p.grad is not None)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "count"),
    [
        (3, 1, 2, 96),
        (3, 1, 6, 96),
        (3, 1, 12, 96),
        (3, 2, 1, 96),
        (3, 1, 2, 192),
        (5, 1, 2, 96),
        (5, 2, 1, 96),
        (7, 1, 1, 96),
    ],
)
def test_gradients_under_autocast_are_those_of_float32(
    kernel: int, stride: int, dilation: int, count: int, *, bias: bool
) -> None:
    torch.manual_seed(0)
    padding = kernel // 2 * dilation
    conv = nn.Conv2d(96, count, kernel, stride, padding, dilation, groups=96, bias=bias)
    x = torch.randn(4, 96, 20, 30).to(memory_format=torch.channels_last)
    expected = gradients(conv, x, mixed=False, exact=False)
    found = gradients(conv, x, mixed=True)
    assert len(found) == len(expected) == 2 + bias
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 0.02 * other.abs().max()


@pytest.mark.parametrize("padding", ["same", (2, 2), 2])
def test_any_padding_is_taken(padding: int | str | tuple[int, int]) -> None:
    conv = nn.Conv2d(8, 8, 3, padding=padding, dilation=2, groups=8)
    x = torch.rand(2, 8, 9, 9)
    found, expected = (gradients(conv, x, mixed=mixed) for mixed in (True, False))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 0.02 * other.abs().max()


def test_a_network_that_pads_by_itself_gets_the_gradients_of_float32() -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_b0", features_only=True, output_stride=16)
    last = nn.Sequential(network.blocks[:6]).to(memory_format=torch.channels_last).eval()
    assert any(type(m) is not nn.Conv2d and isinstance(m, nn.Conv2d) for m in last.modules())
    x = torch.randn(2, 32, 32, 48).to(memory_format=torch.channels_last)
    expected = gradients(last, x, mixed=False, exact=False)
    found = gradients(last, x, mixed=True)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 0.1 * other.norm()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_dense_convolutions_of_large_rates_keep_scores_and_gradients(
    *, bias: bool, mixed: bool
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 16, 3, padding=6, dilation=6, bias=bias)
    x = torch.randn(2, 24, 9, 11).to(memory_format=torch.channels_last)
    expected = gradients(conv, x, mixed=mixed, exact=False)
    found = gradients(conv, x, mixed=mixed)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= (0.01 if mixed else 1e-6) * other.norm()


def test_autocast_goes_on_behind_a_layer_also_after_an_error() -> None:
    conv = nn.Conv2d(4, 4, 5, padding=4, dilation=2, groups=4)
    with torch.autocast("cpu", torch.bfloat16), own_convolutions(conv):
        assert conv(torch.zeros(1, 4, 8, 8)).dtype == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
        with pytest.raises(RuntimeError):
            conv(torch.zeros(1, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")


def test_a_strided_layer_in_float32_stays_as_it_is() -> None:
    conv = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4)
    x = torch.rand(1, 4, 8, 8)
    plain, found = (gradients(conv, x, mixed=False, exact=exact) for exact in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(plain, found, strict=True))


def test_a_frozen_layer_passes_gradients_on() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
    x = torch.rand(1, 8, 9, 9)
    expected = gradients(conv, x, mixed=False)[0]
    frozen = copy.deepcopy(conv).requires_grad_(False)
    assert torch.equal(gradients(frozen, x, mixed=False)[0], expected)
    assert frozen.weight.grad is None


def test_one_image_without_a_batch_is_left_to_torch() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
    x = torch.rand(8, 9, 9)
    with own_convolutions(conv):
        found = conv(x)
    weight = functional.conv2d(x[None], conv.weight, conv.bias, 1, 2, 2, 8)[0]
    torch.testing.assert_close(found, weight)
