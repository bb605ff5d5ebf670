"""The gradients of depthwise and dilated convolutions, in bf16, on a CPU."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.models import build_model
from atrous.training.convolutions import own_convolutions
from atrous.training.task import SegmentationTask


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
    conv = nn.Conv2d(128, 144, 3, padding=12, dilation=12, bias=bias)
    x = torch.randn(2, 128, 9, 11).to(memory_format=torch.channels_last)
    expected = gradients(conv, x, mixed=False, exact=False)
    found = gradients(conv, x, mixed=mixed)
    assert len(found) == len(expected) == 2 + bias
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= (0.01 if mixed else 1e-6) * other.norm()


@pytest.mark.parametrize(
    ("conv", "mixed", "way"),
    [
        (nn.Conv2d(32, 32, 3, 2, 1, groups=32, bias=False), True, "_ConvDepthwiseBackward"),
        (nn.Conv2d(32, 32, 3, 1, 2, 2, groups=32, bias=False), True, "_ConvDepthwiseBackward"),
        (nn.Conv2d(32, 32, 3, 1, 2, 2, groups=32, bias=False), False, "_ConvDepthwiseBackward"),
        (nn.Conv2d(1024, 32, 3, 1, 6, 6, bias=False), True, "_ConvDilatedBackward"),
        (nn.Conv2d(1024, 32, 3, 1, 6, 6, bias=False), False, "_ConvDilatedBackward"),
        (nn.Conv2d(32, 32, 3, 1, 1, groups=32, bias=False), True, "torch in bfloat16"),
        (nn.Conv2d(32, 32, 3, 1, 2, 2, bias=False), True, "torch in bfloat16"),
        (nn.Conv2d(64, 64, 3, 1, 2, 2, groups=2, bias=False), True, "torch in bfloat16"),
        (nn.Conv2d(32, 32, 5, 1, 2, groups=32, bias=False), True, "torch in float32"),
        (nn.Conv2d(24, 32, 3, 1, 2, 2, bias=False), True, "torch in float32"),
        (nn.Conv2d(64, 64, 3, 1, 2, 2, groups=8, bias=False), True, "torch in float32"),
        (nn.Conv2d(64, 64, 3, 2, 1, groups=8, bias=False), True, "torch in bfloat16"),
    ],
)
def test_each_convolution_goes_where_its_gradient_is_right_and_fast(
    conv: nn.Conv2d, way: str, *, mixed: bool
) -> None:
    x = torch.rand(1, conv.in_channels, 9, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed), own_convolutions(conv):
        y = conv(x)
    assert y.grad_fn is not None
    name = y.grad_fn.name()
    if name == "ToCopyBackward0":
        (before, _), *_ = y.grad_fn.next_functions
        assert before is not None
        name = f"{before.name()} of float32"
    words = {
        "torch in bfloat16": "ConvolutionBackward0",
        "torch in float32": "ConvolutionBackward0 of float32",
    }
    assert name == words.get(way, way)


def test_the_steps_of_a_training_take_them() -> None:
    model = build_model("deeplab_v3_plus", encoder_name="mobilenet_v2", classes=2, options={})
    ways: set[str] = set()

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        assert output.grad_fn is not None
        ways.add(output.grad_fn.name())

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and max(module.dilation) > 1:
            module.register_forward_hook(note)
    task = SegmentationTask(
        model, optimizer="adamw", lr=0.1, weight_decay=0.0, iterations=1, micro_batch=2
    )
    task.scored(torch.rand(2, 3, 32, 32))
    assert ways == {"_ConvDepthwiseBackward"}
    assert task.configure_optimizers()[0].defaults["fused"]


WITHOUT_AMX = """
import torch
from torch import nn
from atrous.training.convolutions import own_convolutions

def gradient(conv, x, mixed):
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed), own_convolutions(conv):
        y = conv(x)
    junk = [torch.full((1 << 20,), 1e30) for _ in range(8)]
    del junk
    y.float().square().sum().backward()
    return conv.weight.grad.clone()

torch.manual_seed(0)
for inside, outside, groups in [(368, 368, 46), (24, 24, 1), (72, 256, 1), (96, 96, 96)]:
    conv = nn.Conv2d(inside, outside, 3, padding=2, dilation=2, groups=groups)
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.randn(2, inside, 20, 33).to(memory_format=torch.channels_last)
    true, found = (gradient(conv, x, mixed) for mixed in (False, True))
    error = float((found - true).norm() / true.norm())
    assert error < 0.02, (inside, outside, groups, error)
"""


def test_on_a_processor_without_amx_dilated_ones_are_right_too() -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_AMX],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_what_torch_takes_or_refuses_stays_so() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False)
    x = torch.rand(1, 4, 8, 8)
    with own_convolutions(conv):
        with torch.autocast("cpu", torch.bfloat16):
            found = functional.conv2d(x.double(), conv.weight.double(), None, 1, 2, 2, 4)
            assert found.dtype == torch.float64
        with pytest.raises(RuntimeError, match="same"):
            functional.conv2d(x, conv.weight.double(), None, 1, 2, 2, 4)
        steps = [np.int64(2)] * 2
        assert torch.equal(functional.conv2d(x, conv.weight, None, 1, steps, steps, 4), conv(x))


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
