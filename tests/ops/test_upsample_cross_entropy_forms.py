"""The forms that compute one loss: which is taken, what they hold, Triton's in its interpreter."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from atrous.ops.upsample_cross_entropy_bands import runs_of, sum_in_bands
from atrous.ops.upsample_cross_entropy_pixels import sum_in_pixels
from atrous.ops.upsample_cross_entropy_torch import sum_in_lines

MODULE = importlib.import_module(
    "atrous.ops.upsample_cross_entropy"
)  # the package has the function


def test_the_form_does_not_depend_on_what_ran_before():
    large, small = torch.zeros(1, 21, 17, 17), torch.zeros(1, 2, 4, 4)
    labels = torch.zeros(1, 129, 129, dtype=torch.uint8)
    for _ in range(2):
        assert MODULE._form_for(large, labels) is sum_in_bands
        assert MODULE._form_for(small, labels[:, :16, :16]) is sum_in_lines
        assert MODULE._form_for(large.double(), labels) is sum_in_lines
        full_size = torch.zeros(1, 21, 129, 129)
        assert MODULE._form_for(full_size, labels) is sum_in_pixels
        assert MODULE._form_for(full_size.bfloat16(), labels) is sum_in_pixels
        assert MODULE._form_for(full_size[:, :3], labels) is sum_in_lines
        assert MODULE._form_for(full_size.double(), labels) is sum_in_lines


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("cells", "pixels"), [(65, 513), (80, 320), (1, 9), (7, 3), (4, 128)])
def test_runs_hold_every_pixel_once_at_equal_distances(cells, pixels, align_corners):
    runs = runs_of(cells, pixels, align_corners)
    seen = []
    for cell, first, length, step, weights in zip(*runs, strict=True):
        assert 1 <= length <= 8
        for p in range(length):
            x = first + p
            scale = (cells - 1) / max(pixels - 1, 1) if align_corners else cells / pixels
            place = x * scale if align_corners else max((x + 0.5) * scale - 0.5, 0)
            assert cell + weights[p] == pytest.approx(place, abs=1e-5)
            assert weights[p] == pytest.approx(weights[0] + p * step, abs=1e-6)
            seen.append(x)
    assert seen == list(range(pixels))


PEAK = """
import importlib, sys, torch
from pathlib import Path
form = sys.argv[1]
module = importlib.import_module("atrous.ops.upsample_cross_entropy")
lines = module.sum_in_lines
if form == "lines":
    module._form_for = lambda scores, labels: lines
def high_water_mib():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
def run(count):
    scores = torch.randn(count, 60, 64, 64, requires_grad=True)
    labels = torch.randint(0, 60, (count, 512, 512), dtype=torch.uint8)
    before = high_water_mib()
    module.upsample_cross_entropy(scores, labels).backward()
    return high_water_mib() - before
run(1)
print(run(4))
"""


@pytest.mark.parametrize("form", ["bands", "lines"])
def test_full_size_scores_are_never_held(form):
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak is read from /proc, which only Linux has")
    shown = subprocess.run(
        [sys.executable, "-c", PEAK, form], capture_output=True, text=True, check=True
    )
    assert float(shown.stdout) < 240 / 8  # full-size scores are 240 MiB


INTERPRETED = """
import torch
from tests.ops.test_upsample_cross_entropy import MODULE, assert_same, by_torch, by_us, drawn
from atrous.ops.upsample_cross_entropy_triton import sum_with_triton
MODULE._form_for = lambda scores, labels: sum_with_triton
cases = [((5, 6), (17, 20), 3, {}), ((5, 6), (17, 20), 11, {"align_corners": True}),
         ((1, 3), (2, 11), 3, {"label_smoothing": 0.1}), ((6, 1), (13, 1), 2, {}),
         ((7, 40), (4, 33), 9, {"reduction": "sum"})]
for shape, size, classes, options in cases:
    scores, labels = drawn(2, classes, shape, size, 6)
    weight = 0.2 + torch.rand(classes)
    expected = by_torch(scores, labels, weight, **options)
    assert_same(by_us(scores, labels, weight, **options), expected)
    last = scores.contiguous(memory_format=torch.channels_last)
    assert_same(by_us(last, labels.long(), weight, **options), expected)
print("same")
"""


def test_the_triton_kernels_compute_the_same_in_tritons_interpreter():
    pytest.importorskip("triton", reason="Triton is not installed")
    root = Path(__file__).resolve().parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": f"{root}:{root / 'src'}"},
    )
    assert shown.stdout.strip() == "same", shown.stderr


def test_without_triton_the_gpu_takes_the_torch_form_and_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "atrous.ops.upsample_cross_entropy_triton", None)
    MODULE._triton_works.cache_clear()
    try:
        assert not MODULE._triton_works()
    finally:
        MODULE._triton_works.cache_clear()
    assert "slower than Triton" in caplog.text
