import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.layers import BatchNorm, ConvNormAct, SeparableConv


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("dilation", [1, 2, 5])
def test_the_unit_keeps_the_size_at_stride_1(kernel_size: int, dilation: int) -> None:
    unit = ConvNormAct(3, 4, kernel_size, dilation=dilation)
    assert unit(torch.randn(2, 3, 9, 11)).shape == (2, 4, 9, 11)


def test_the_unit_is_convolution_then_norm_then_relu() -> None:
    torch.manual_seed(0)
    unit = ConvNormAct(3, 4, dilation=2)
    x = torch.randn(2, 3, 8, 8)
    y = functional.conv2d(x, unit.get_parameter("conv.weight"), padding=2, dilation=2)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), False, True) + 1e-5).sqrt()
    torch.testing.assert_close(unit(x), y.clamp(min=0))
    without = ConvNormAct(3, 4, activation=False)
    assert without(x).min() < 0


def test_a_separable_convolution_has_9c_plus_c_times_k_weights() -> None:
    unit = SeparableConv(16, 24, dilation=3)
    weights = sum(m.weight.numel() for m in unit.modules() if isinstance(m, nn.Conv2d))
    assert weights == 9 * 16 + 16 * 24
    assert unit(torch.randn(2, 16, 7, 5)).shape == (2, 24, 7, 5)


def test_a_separable_convolution_may_go_without_norm_between_its_halves() -> None:
    torch.manual_seed(0)
    unit = SeparableConv(4, 5, dilation=2, norm_between=False).eval()
    x = torch.randn(1, 4, 9, 9)
    y = functional.conv2d(x, unit.get_parameter("depthwise.conv.weight"), None, 1, 2, 2, 4)
    y = functional.conv2d(y, unit.get_parameter("pointwise.conv.weight")) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(unit(x), y.relu())
    assert [name for name, _ in unit.depthwise.named_parameters()] == ["conv.weight"]


def test_separable_weights_start_as_the_release_draws_them() -> None:
    torch.manual_seed(0)
    unit = SeparableConv(512, 512)
    for name, std in (("depthwise", 0.33), ("pointwise", 0.06)):
        weight = unit.get_parameter(f"{name}.conv.weight")
        assert weight.abs().max() <= 2 * std
        # a normal cut at two sigma keeps 0.8796 of its spread
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.03)


def test_a_single_value_per_channel_is_normalised_with_running_statistics() -> None:
    norm = BatchNorm(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.fill_(4.0)
    x = torch.tensor([3.0, 2.0, 1.0]).reshape(1, 3, 1, 1)
    expected = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=0)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="more than 1 value"):  # torch's own
        nn.BatchNorm2d(3)(x)


def test_two_values_per_channel_are_normalised_as_torch_does() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 1, 1)
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    torch.testing.assert_close(ours(x), theirs(x), atol=0, rtol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, atol=0, rtol=0)
