"""How many images does a CPU train a second: ours, or smp's networks in a plain PyTorch loop?

Regime: optimizer steps (forward, cross entropy with a tenth of void, backward, SGD) on
random images of one size, 11 classes, decoded and augmented outside the clock. Ours is what
`atrous train` runs: its task under Lightning, bf16 where the processor has it, channels last,
freed memory kept, upsampling and cross entropy in one pass. The peer is what its documentation
shows: segmentation_models_pytorch (torchvision for deeplab_v3, with its recipe's auxiliary loss) in
float32, `functional.cross_entropy`, a loop of five lines; `peer, bf16` gives the same loop bf16 and
channels last, so that one sees what is left beyond these two. Networks of the same name differ a
little; the parameters of both are printed. For segnet the peer is the same network in the same
step, with torch's int64 indices in place of our 2-bit ones.

Each side runs in a process of its own, in turn, round after round; a process warms up for two
steps and reports the median of those that follow, and its peak memory.

Run: python benchmarks/bench_training.py [--case NUMBER] [--rounds 3] [--steps 5]
"""

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CASES = (  # network, encoder, batch, side
    ("unet", "resnet34", 4, 256),
    ("deeplab_v3_plus", "mobilenet_v2", 4, 256),
    ("deeplab_v3_plus", "resnet50", 4, 256),
    ("unet", "resnet34", 2, 512),
    ("deeplab_v3_plus", "mobilenet_v2", 2, 512),
    ("deeplab_v3_plus", "resnet50", 2, 512),
    ("deeplab_v3", "resnet50", 2, 256),
    ("segnet", "vgg16_bn", 2, 256),
)
SIDES = ("atrous", "peer", "peer, bf16")
SIDES_OF_SEGNET = ("atrous", "int64 indices")
CLASSES, VOID, WARM_UP = 11, 255, 2


def main() -> None:
    """Measure every case and print a line for each, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=int, help="its number only, from 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(one_side(arguments.side, *CASES[arguments.case], arguments.steps)))
        return
    results = {}
    for number in range(len(CASES)) if arguments.case is None else [arguments.case]:
        model, encoder, batch, side = CASES[number]
        name = f"{model} {encoder} {batch}x{side}x{side}"
        results[name] = in_turn(number, arguments.rounds, arguments.steps)
        print(line(name, results[name]), flush=True)
    print(json.dumps({"results": results, "rounds": arguments.rounds, **machine()}))


def in_turn(number: int, rounds: int, steps: int) -> dict[str, dict[str, float]]:
    """Return for each side the medians over the rounds, and its ratio to ours with the extremes."""
    sides = SIDES_OF_SEGNET if CASES[number][0] == "segnet" else SIDES
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, done in runs.items():
            options = ["--side", side, "--case", str(number), "--steps", str(steps)]
            command = [sys.executable, __file__, *options]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            done.append(json.loads(told.splitlines()[-1]))
    ours = [run["images_per_second"] for run in runs["atrous"]]
    found = {}
    for side, done in runs.items():
        ratios = [a / run["images_per_second"] for a, run in zip(ours, done, strict=True)]
        found[side] = {key: statistics.median(run[key] for run in done) for key in done[0]} | {
            "ours_is_faster_by": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
    return found


def line(name: str, found: dict[str, dict[str, float]]) -> str:
    """Return the result of a case in words."""
    ours = found["atrous"]
    words = [f"{name:<38} {ours['images_per_second']:6.2f} img/s {ours['peak_mb']:6.0f} MB"]
    for side, peer in list(found.items())[1:]:
        words.append(
            f"{side} {peer['images_per_second']:.2f} img/s {peer['peak_mb']:.0f} MB: "
            f"{peer['ours_is_faster_by']:.2f} ({peer['least']:.2f}-{peer['most']:.2f})"
        )
    return "   ".join(words)


def one_side(
    side: str, model: str, encoder: str, batch: int, size: int, steps: int
) -> dict[str, float]:
    """Train for a few steps in this process; return images a second and the peak in MB."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    cells = torch.randint(0, CLASSES, (batch, 1, size // 16, size // 16), generator=generator)
    labels = torch.nn.functional.interpolate(cells.float(), (size, size))[:, 0].to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = VOID
    torch.manual_seed(0)
    if side.startswith("peer"):
        is_bf16 = "bf16" in side
        seconds, parameters = by_peer(model, encoder, images, labels, steps + WARM_UP, is_bf16)
    else:
        if side == "int64 indices":
            take_int64_indices()
        seconds, parameters = by_us(model, encoder, images, labels, steps + WARM_UP)
    return {
        "images_per_second": batch / statistics.median(seconds[WARM_UP:]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": parameters,
    }


def take_int64_indices() -> None:
    """Let SegNet pool and unpool with torch's own operators."""
    from torch.nn import functional

    from atrous.models import segnet

    segnet.max_pool_2bit = lambda x: functional.max_pool2d(
        x, 2, 2, ceil_mode=True, return_indices=True
    )
    segnet.max_unpool_2bit = lambda x, indices, size: functional.max_unpool2d(
        x, indices, 2, 2, output_size=list(size)
    )


def by_us(name, encoder, images, labels, steps):
    """Return the seconds of each step as `atrous train` takes it, and the parameters."""
    import lightning
    import torch

    from atrous.models import build_model
    from atrous.training.heap import keep_freed_memory
    from atrous.training.loop import make_trainer
    from atrous.training.plan import Plan, pick_precision
    from atrous.training.task import SegmentationTask

    class Clock(lightning.Callback):
        def __init__(self) -> None:
            self.ends = [time.perf_counter()]

        def on_train_batch_end(self, *_: object) -> None:
            self.ends.append(time.perf_counter())

    keep_freed_memory()
    batch, size = len(images), images.shape[-1]
    options = {"auxiliary": True} if name == "deeplab_v3" else {}
    model = build_model(name, encoder_name=encoder, classes=CLASSES, options=options)
    model = model.to(memory_format=torch.channels_last).train()
    task = SegmentationTask(
        model, optimizer="sgd", lr=0.01, weight_decay=1e-4, iterations=steps, micro_batch=batch
    )
    plan = Plan(
        iterations=steps, done=0, batch_size=batch, micro_batch=batch, crop=(size, size),
        val_every=steps, precision=pick_precision("auto", "cpu"), device="cpu", workers=0,
        optimizer="sgd", lr=0.01, seconds=0, memory_bytes=0,
    )  # fmt: skip
    batches = torch.utils.data.DataLoader([(images, labels)] * steps, batch_size=None)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(plan, Path(folder), [clock]).fit(task, batches)
    return differences(clock.ends), sum(p.numel() for p in model.parameters())


def by_peer(name, encoder, images, labels, steps, is_bf16):
    """Return the seconds of each step of a plain loop, and the parameters."""
    import torch
    from torch.nn import functional

    model, forward = peer(name, encoder)
    model.train()
    if is_bf16:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    labels = labels.long()
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    ends = [time.perf_counter()]
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = sum(
                weight * functional.cross_entropy(scores, labels, ignore_index=VOID)
                for weight, scores in forward((images - mean) / std)
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return differences(ends), sum(p.numel() for p in model.parameters())


def peer(name: str, encoder: str) -> tuple[object, Callable[[object], list[tuple[float, object]]]]:
    """Return the peer's network, and what gives its (weight, scores) for a batch."""
    if name == "deeplab_v3":
        from torchvision.models.segmentation import deeplabv3_resnet50

        model = deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True
        )

        def with_auxiliary(x: object) -> list[tuple[float, object]]:
            found = model(x)
            return [(1.0, found["out"]), (0.5, found["aux"])]

        return model, with_auxiliary
    import segmentation_models_pytorch as smp

    of = {"unet": smp.Unet, "deeplab_v3_plus": smp.DeepLabV3Plus}[name]
    model = of(encoder, encoder_weights=None, classes=CLASSES)
    return model, lambda x: [(1.0, model(x))]


def differences(ends: list[float]) -> list[float]:
    """Return the time between each and the next."""
    return [b - a for a, b in itertools.pairwise(ends)]


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    import segmentation_models_pytorch as smp
    import torch
    import torchvision

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "smp": smp.__version__,
    }


if __name__ == "__main__":
    main()
