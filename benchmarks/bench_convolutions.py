"""What do the gradients of strided and dilated convolutions cost: ours, or torch's?

Regime: forward and backward of one convolution in bf16 and float32, channels last, of the shapes
that MobileNetV2 and ASPP have in a training step of 4 x 256x256 and of 2 x 513x513. The contenders
take turns, round after round. The error is that of both gradients together, relative to float64's;
before every call, memory that is then freed is filled with 1e30, which oneDNN's gradient of
dilated depthwise convolutions in bfloat16 hands on.

Run: python benchmarks/bench_convolutions.py [--rounds 9]
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from atrous.ops import conv_depthwise, conv_depthwise_pays, conv_dilated, conv_dilated_pays

CASES = (  # N, C, side, maps out, depthwise?, stride, rate
    (4, 96, 128, 96, True, 2, 1),
    (4, 144, 64, 144, True, 2, 1),
    (4, 192, 32, 192, True, 2, 1),
    (4, 960, 16, 960, True, 1, 2),
    (4, 320, 16, 320, True, 1, 6),
    (4, 320, 16, 256, False, 1, 12),
    (2, 320, 33, 256, False, 1, 18),
    (4, 2048, 16, 256, False, 1, 6),
    (4, 2048, 16, 256, False, 1, 12),
    (4, 2048, 16, 256, False, 1, 18),
    (2, 2048, 33, 256, False, 1, 6),
    (2, 2048, 33, 256, False, 1, 12),
    (2, 2048, 33, 256, False, 1, 18),
)
DTYPES = (torch.bfloat16, torch.float32)


def main() -> None:
    """Measure, print a line for each case, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    figures: dict[str, object] = {}
    for count, channels, side, out, is_depthwise, stride, rate in CASES:
        for dtype in DTYPES:
            torch.manual_seed(0)
            x = torch.randn(count, channels, side, side).to(dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            groups = channels if is_depthwise else 1
            weight = torch.randn(out, channels // groups, 3, 3) / (channels // groups) ** 0.5
            weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
            shape = x, weight, (stride,) * 2, (rate,) * 2, groups
            if not (
                conv_depthwise_pays(*shape)
                or conv_dilated_pays(*shape[:3], (rate,) * 2, *shape[3:])
            ):
                continue
            ways = both_ways(stride, rate, groups)
            name = (
                f"{'depthwise' if is_depthwise else 'dense'} {count} x {channels} x {side}x{side}"
            )
            name += f" to {out}, stride {stride}, rate {rate}, {str(dtype)[6:]}"
            figures[name] = compared(x, weight, ways, rounds)
            print(f"{name:<72}", *(f"{k} {v:.3g}" for k, v in figures[name].items()), flush=True)
    print(json.dumps({"results": figures, "rounds": rounds, **surroundings()}))


def both_ways(stride: int, rate: int, groups: int) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the convolution with our gradients and with torch's."""
    strides, rates = (stride,) * 2, (rate,) * 2

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        if groups > 1:
            return conv_depthwise(x, weight, strides, rates, rates)
        return conv_dilated(x, weight, rates, rates)

    def theirs(x: Tensor, weight: Tensor) -> Tensor:
        return functional.conv2d(x, weight, None, strides, rates, rates, groups)

    return {"ours": ours, "torch": theirs}


def compared(x, weight, ways, rounds):
    """Return median milliseconds of both, their ratio, and the error of the gradients."""
    truth = gradients(ways["torch"], x.double(), weight.double())[1]
    taken = {name: [] for name in ways}
    errors = dict.fromkeys(ways, 0.0)
    for number in range(rounds + 1):
        for name, way in ways.items():
            junk = [torch.full((1 << 20,), 1e30) for _ in range(8)]
            del junk
            milliseconds, found = gradients(way, x, weight)
            errors[name] = max(
                errors[name],
                *(
                    float((a.double() - b).norm() / b.norm())
                    for a, b in zip(found, truth, strict=True)
                ),
            )
            if number:
                taken[name].append(milliseconds)
    middle = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "ms": middle["ours"],
        "torch": middle["torch"],
        "ratio": middle["torch"] / middle["ours"],
        "error": errors["ours"],
        "torch's": errors["torch"],
    }


def gradients(way, x, weight):
    """Return the milliseconds of forward and backward, and the gradients."""
    leaves = [t.detach().clone().requires_grad_() for t in (x, weight)]
    begin = time.perf_counter()
    y = way(*leaves)
    found = torch.autograd.grad(y, leaves, torch.ones_like(y) / 8)
    return 1000 * (time.perf_counter() - begin), found


def surroundings() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
