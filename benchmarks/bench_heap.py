"""How much faster does a training step on the CPU get when freed memory is kept?

Regime: forward, cross entropy, backward and SGD step of whole networks on random images, as
`atrous train` does them (channels last; bf16 where the processor has it). The choice holds for a
whole process, so each round starts two, glibc's default and `keep_freed_memory`, in turn; a
process warms up for two steps and reports the median of the following ones, its page faults per
step and its peak memory. Median and quartiles are over the rounds.

Run: python benchmarks/bench_heap.py [--rounds 5]
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

CASES = (
    ("deeplab_v3_plus", "mobilenet_v2", 8, 320),
    ("deeplab_v3_plus", "resnet50", 2, 256),
    ("unet", "resnet34", 4, 256),
)
STEPS = 5


def main() -> None:
    """Measure every network and print one line each, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        number, choice = arguments.one
        print(json.dumps(steps(*CASES[int(number)], keep=choice == "keep")))
        return
    results = {}
    for number, (model, encoder, batch, side) in enumerate(CASES):
        runs: dict[str, list[dict[str, float]]] = {"default": [], "keep": []}
        for _ in range(arguments.rounds):
            for choice, done in runs.items():
                done.append(_process(number, choice))
        seconds = {name: [run["seconds"] for run in done] for name, done in runs.items()}
        ratios = [a / b for a, b in zip(seconds["default"], seconds["keep"], strict=True)]
        name = f"{model} {encoder} {batch}x{side}x{side}"
        results[name] = {"ratio": _quartiles(ratios)} | {
            choice: {key: statistics.median(run[key] for run in done) for key in done[0]}
            for choice, done in runs.items()
        }
        print(f"{name:<42} {statistics.median(ratios):.2f} times as fast", flush=True)
    print(json.dumps({"results": results, "rounds": arguments.rounds, **machine()}))


def steps(model_name: str, encoder: str, batch: int, side: int, *, keep: bool) -> dict[str, float]:
    """Train for a few steps in this process."""
    import torch

    from atrous.models import build_model
    from atrous.training.heap import keep_freed_memory
    from atrous.training.plan import pick_precision
    from atrous.training.task import SegmentationTask

    if keep and not keep_freed_memory():
        raise SystemExit("this C library has no mallopt: nothing to measure")
    bf16 = pick_precision("auto", "cpu") == "bf16-mixed"
    model = build_model(model_name, encoder_name=encoder, classes=11)
    model = model.to(memory_format=torch.channels_last).train()
    task = SegmentationTask(
        model, optimizer="sgd", lr=0.01, weight_decay=0.0, iterations=1, micro_batch=batch
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, 3, side, side).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 11, (batch, side, side))
    seconds, faults = [], []
    for _ in range(2 + STEPS):
        before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = task.loss_share(images, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return {
        "seconds": statistics.median(seconds[2:]),
        "page_faults": statistics.median(faults[2:]),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bf16": bf16,
    }


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    import torch

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _process(number: int, choice: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", str(number), choice]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _quartiles(values: list[float]) -> dict[str, float]:
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "lower": lower, "upper": upper}


if __name__ == "__main__":
    main()
