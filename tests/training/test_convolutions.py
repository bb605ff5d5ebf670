"""The gradient of a dilated depthwise convolution, in bf16, on a CPU."""

import pytest
import torch
from torch import nn

from atrous.training.precision import keep_dilated_depthwise_exact


def gradients(conv: nn.Conv2d, x: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
    junk = [torch.full((1 << 20,), 1e30) for _ in range(8)]  # what a careless kernel would return
    del junk
    image = x.clone(memory_format=torch.preserve_format).requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = conv(image)
    y.float().square().sum().backward()
    assert image.grad is not None
    assert conv.weight.grad is not None
    return [image.grad.clone(), conv.weight.grad.clone()]


@pytest.mark.parametrize("dilation", [2, 6, 12])
def test_gradients_under_autocast_are_those_of_float32(dilation: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(96, 96, 3, padding=dilation, dilation=dilation, groups=96, bias=False)
    x = torch.randn(4, 96, 20, 30).to(memory_format=torch.channels_last)
    expected = gradients(conv, x, torch.float32)
    for _ in range(2):  # a second call must add nothing
        keep_dilated_depthwise_exact(conv)
    for found, true in zip(gradients(conv, x, torch.bfloat16), expected, strict=True):
        assert (found - true).abs().max() <= 0.02 * true.abs().max()


def test_autocast_goes_on_behind_the_layer_also_after_an_error() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4)
    keep_dilated_depthwise_exact(conv)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(torch.zeros(1, 4, 8, 8)).dtype == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
        with pytest.raises(RuntimeError):
            conv(torch.zeros(1, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")


def test_without_autocast_nothing_changes() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4)
    image = torch.rand(1, 4, 8, 8)
    expected = conv(image)
    keep_dilated_depthwise_exact(conv)
    assert torch.equal(conv(image), expected)
