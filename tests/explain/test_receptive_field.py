import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from atrous.explain import Span, joined


def support(network: nn.Module, length: int, shift: int = 0) -> tuple[int, int, int]:
    """Brute force: which inputs have a gradient at (or behind) the middle of a 1-d net's output."""
    signal = torch.ones(1, 1, length, requires_grad=True)
    out = network(signal)
    middle = out.shape[-1] // 2 + shift
    (gradient,) = torch.autograd.grad(out[0, 0, middle], signal)
    seen = gradient[0, 0].nonzero()
    return int(seen.min()), int(seen.max()), middle


def ones(layer: nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    nn.init.ones_(layer.weight)
    return layer


LAYER = st.tuples(
    st.sampled_from([1, 2, 3, 5, 7]), st.integers(1, 3), st.integers(0, 3), st.integers(1, 4)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=4))
def test_windows_compose_as_the_gradient_says(stack: list[tuple[int, int, int, int]]) -> None:
    span, modules = Span(), []
    for kernel, stride, padding, dilation in stack:
        span = span.window(kernel, stride=stride, padding=padding, dilation=dilation)
        layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation, bias=False)
        modules.append(ones(layer))
    low, high, middle = support(nn.Sequential(*modules), 1200)
    assert (float(low), float(high)) == span.at(middle)
    assert span.size == high - low + 1


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(4, 2, 0), (4, 2, 1), (3, 2, 1), (2, 2, 0), (63, 32, 31)]
)
def test_a_transposed_window_is_where_gradients_are_on_average(
    kernel: int, stride: int, padding: int
) -> None:
    before = nn.Conv1d(1, 1, 5, 4, bias=False)
    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, bias=False)
    span = Span().window(5, stride=4).transposed_window(kernel, stride=stride, padding=padding)
    network = nn.Sequential(ones(before), ones(layer))
    ends = [support(network, 400, shift) for shift in range(stride)]
    assert span.size == sum(high - low + 1 for low, high, _ in ends) / stride
    stated = [span.at(position) for *_, position in ends]
    assert abs(sum(low - said[0] for (low, *_), said in zip(ends, stated, strict=True))) <= stride


def test_bilinear_resizing_adds_one_neighbour() -> None:
    class Up(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.interpolate(x, scale_factor=4, mode="linear")

    span = Span().window(3, stride=4, padding=1).resized(100, 400, linear=True, align_corners=False)
    layer = ones(nn.Conv1d(1, 1, 3, 4, 1, bias=False))
    low, high, middle = support(nn.Sequential(layer, Up()), 400)
    assert span.stride == 1
    assert span.size == high - low + 1 == 7
    assert abs(span.at(middle)[0] - low) <= 2


def test_long_et_al_s_rule_of_composition() -> None:
    first, second = (7, 2), (3, 2)  # (kernel, stride), Sec. 3
    kernel, stride = first[0] + (second[0] - 1) * first[1], first[1] * second[1]
    span = Span().window(7, stride=2, padding=3).window(3, stride=2, padding=1)
    assert (span.size, span.stride) == (kernel, stride)


def test_a_sum_sees_what_its_parts_see() -> None:
    narrow, wide = Span().window(3, padding=1), Span().window(9, padding=4)
    assert joined([narrow, wide], 10) == wide
    assert math.isinf(joined([narrow, narrow.whole()], 10).size)


def test_cropping_moves_the_field() -> None:
    assert Span().window(3, stride=2).moved(5).at(0) == Span().window(3, stride=2).at(5)


@pytest.mark.parametrize(("length", "bins", "widest"), [(65, 6, 12), (65, 3, 23), (64, 2, 32)])
def test_a_bin_is_as_wide_as_the_widest_one_that_gets_a_gradient(
    length: int, bins: int, widest: int
) -> None:
    signal = torch.ones(1, 1, length, requires_grad=True)
    pooled = functional.adaptive_avg_pool1d(signal, bins)[0, 0]
    seen = [
        torch.autograd.grad(one, signal, retain_graph=True)[0].count_nonzero() for one in pooled
    ]
    span = Span(stride=8).binned(length, bins)
    assert max(seen) == widest
    assert (span.stride, span.size) == (8 * length / bins, 8 * (widest - 1) + 1)
    assert sum(span.at((bins - 1) / 2)) / 2 == pytest.approx(8 * (length - 1) / 2)
