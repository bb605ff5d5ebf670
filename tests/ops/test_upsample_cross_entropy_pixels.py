"""What the form without resizing does beyond what all forms do."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from atrous.ops import upsample_cross_entropy
from atrous.ops.upsample_cross_entropy import _classes
from atrous.ops.upsample_cross_entropy_pixels import gradient_in_pixels, sum_in_pixels

VOID = 255
ROUNDING = {torch.float32: 0.0, torch.bfloat16: torch.finfo(torch.bfloat16).eps / 2}
"""What a gradient may be off by, of itself, for being stored."""


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 3),
    classes=st.integers(1, 40),
    size=st.tuples(st.integers(1, 9), st.integers(1, 200)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    is_last=st.booleans(),
    label_dtype=st.sampled_from([torch.uint8, torch.int64]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    upstream=st.sampled_from([1.0, 0.0, -3.0, 1e-4]),
    seed=st.integers(0, 2**31),
)
def test_loss_and_gradient_are_those_of_torch_in_float64(  # noqa: PLR0913  # what hypothesis draws
    count, classes, size, dtype, is_last, label_dtype, smoothing, upstream, seed
):
    generator = torch.Generator().manual_seed(seed)
    scores = (4 * torch.randn(count, classes, *size, generator=generator)).to(dtype)
    layout = torch.channels_last if is_last else torch.contiguous_format
    scores = scores.contiguous(memory_format=layout)
    labels = torch.randint(0, classes, (count, *size), generator=generator).to(label_dtype)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = VOID
    weight = 0.2 + torch.rand(classes, generator=generator)
    exact = scores.double().requires_grad_()
    expected = functional.cross_entropy(
        exact, labels.long(), weight.double(), ignore_index=VOID, label_smoothing=smoothing,
        reduction="sum",
    )  # fmt: skip
    (slope,) = torch.autograd.grad(upstream * expected, exact)

    parts = _classes(scores, weight, VOID, smoothing)
    loss, total, _ = sum_in_pixels(scores, labels, parts, False, True)
    gradient = gradient_in_pixels(scores, labels, parts, torch.tensor(upstream))

    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6 * labels.numel())
    counted = weight.double()[labels[labels != VOID].long()].sum()
    assert total.item() == pytest.approx(counted.item(), rel=1e-6)
    assert gradient.dtype == dtype
    assert gradient.stride() == scores.stride()
    allowed = 2e-6 * abs(upstream) + 1.001 * ROUNDING[dtype] * slope.abs()
    assert ((gradient.double() - slope).abs() <= allowed).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_stands_below_void_does_not_matter(value):
    scores = torch.randn(1, 3, 4, 70)
    labels = torch.randint(0, 3, (1, 4, 70), dtype=torch.uint8)
    labels[0, 2, 66] = labels[0, 0, 0] = VOID
    parts = _classes(scores, None, VOID, 0.1)
    expected = sum_in_pixels(scores, labels, parts, False, True)
    scores[0, :, 2, 66] = scores[0, 1, 0, 0] = value
    found = sum_in_pixels(scores, labels, parts, False, True)
    gradient = gradient_in_pixels(scores, labels, parts, torch.tensor(1.0))
    assert torch.equal(found.loss, expected.loss)
    assert gradient.isfinite().all()
    assert not gradient[0, :, 2, 66].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_pixels_whose_scores_are_not_finite_have_gradients_of_nan(dtype, value):
    scores = torch.randn(1, 3, 4, 70).to(dtype)
    labels = torch.zeros(1, 4, 70, dtype=torch.uint8)
    scores[0, 1, 3, 69] = value
    parts = _classes(scores, None, VOID, 0.0)
    assert sum_in_pixels(scores, labels, parts, False, True).loss.isnan()
    gradient = gradient_in_pixels(scores, labels, parts, torch.tensor(1.0))
    assert gradient[0, :, 3, 69].isnan().all()
    gradient[0, :, 3, 69] = 0
    assert gradient.isfinite().all()


def test_large_full_size_scores_of_training_take_this_form_and_train():
    features = torch.randn(2, 8, 128, 128).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 9, (2, 128, 128), dtype=torch.uint8)
    head = torch.nn.Conv2d(8, 9, 1)
    with torch.autocast("cpu", torch.bfloat16):
        scores = head(features)
        loss = upsample_cross_entropy(scores, labels)
    loss.backward()
    found = head.weight.grad.clone()
    head.weight.grad = None
    functional.cross_entropy(head(features), labels.long()).backward()
    assert scores.dtype == torch.bfloat16
    assert (found - head.weight.grad).abs().max() < 0.02 * head.weight.grad.abs().max()


PEAK = """
import torch
from pathlib import Path
from atrous.ops import upsample_cross_entropy
def high_water_mib():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
def run(count):
    scores = torch.randn(count, 60, 256, 256, dtype=torch.bfloat16)
    scores = scores.contiguous(memory_format=torch.channels_last).requires_grad_()
    labels = torch.randint(0, 60, (count, 256, 256), dtype=torch.uint8)
    before = high_water_mib()
    upsample_cross_entropy(scores, labels).backward()
    return high_water_mib() - before
run(1)
Path("/proc/self/clear_refs").write_text("5")
print(run(8))
"""


def test_nothing_of_full_size_is_held_but_the_gradient():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak is read from /proc, which only Linux has")
    shown = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert float(shown.stdout) < 1.2 * 60  # the gradient in bfloat16 is 60 MiB
