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

All sides of a case live at once and take their *steps* in turn (`turns.py`): ours, theirs, ours. A
machine's speed changes within seconds, so each of their steps is compared with the mean of ours
before and after it; the ratio is the median over all steps, with quartiles. A step lasts, for all
sides alike, from a batch's arrival to the request for the next. Set-up and two steps of each come
before. A round begins with new processes, because memory comes to lie elsewhere in each.

Run: python benchmarks/bench_training.py [--case NUMBER] [--rounds 2] [--steps 12]
"""

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from turns import Side, Turns, ratios_to

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
    parser.add_argument("--rounds", type=int, default=2, help="sets of processes")
    parser.add_argument("--steps", type=int, default=12, help="of each side")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        take_steps(arguments.side, *CASES[arguments.case], arguments.steps)
        return
    results = {}
    for number in range(len(CASES)) if arguments.case is None else [arguments.case]:
        model, encoder, batch, side = CASES[number]
        name = f"{model} {encoder} {batch}x{side}x{side}"
        results[name] = in_turn(number, arguments.rounds, arguments.steps)
        print(line(name, results[name]), flush=True)
    print(json.dumps({"results": results, "rounds": arguments.rounds, **machine()}))


def in_turn(number: int, rounds: int, steps: int) -> dict[str, dict[str, float]]:
    """Return for each side its median step, its memory, and its ratio to ours with quartiles."""
    names = SIDES_OF_SEGNET if CASES[number][0] == "segnet" else SIDES
    seconds: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names[1:]}
    chosen = [__file__, "--case", str(number), "--steps", str(steps)]
    for _ in range(rounds):
        with ExitStack() as running:
            each = [Side(name, [*chosen, "--side", name], running) for name in names]
            for side in each * (WARM_UP + steps) + each[:1]:
                side.step()
        ours = each[0].seconds[WARM_UP:]
        for side in each:
            seconds[side.name] += side.seconds[WARM_UP:]
        for side in each[1:]:
            ratios[side.name] += ratios_to(ours, side.seconds[WARM_UP:])
    found = {
        side.name: {
            "images_per_second": CASES[number][2] / statistics.median(seconds[side.name]),
            "peak_mb": side.peak_mb,
            "parameters": side.parameters,
        }
        for side in each
    }
    for name, of_steps in ratios.items():
        low, middle, high = statistics.quantiles(of_steps, n=4, method="inclusive")
        found[name] |= {"ours_is_faster_by": middle, "first_quartile": low, "third_quartile": high}
    return found


def line(name: str, found: dict[str, dict[str, float]]) -> str:
    """Return the result of a case in words."""
    ours = found["atrous"]
    words = [f"{name:<38} {ours['images_per_second']:6.2f} img/s {ours['peak_mb']:6.0f} MB"]
    for side, peer in list(found.items())[1:]:
        words.append(
            f"{side} {peer['images_per_second']:.2f} img/s {peer['peak_mb']:.0f} MB: "
            f"{peer['ours_is_faster_by']:.2f} "
            f"({peer['first_quartile']:.2f}-{peer['third_quartile']:.2f})"
        )
    return "   ".join(words)


def take_steps(side: str, model: str, encoder: str, batch: int, size: int, steps: int) -> None:
    """Be one side: build, say so, then train one step at each of our turns, until stdin ends."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    cells = torch.randint(0, CLASSES, (batch, 1, size // 16, size // 16), generator=generator)
    labels = torch.nn.functional.interpolate(cells.float(), (size, size))[:, 0].to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = VOID
    turns = Turns(WARM_UP + steps + 2)
    torch.manual_seed(0)
    if side.startswith("peer"):
        by_peer(model, encoder, images, labels, turns, "bf16" in side)
    else:
        if side == "int64 indices":
            take_int64_indices()
        by_us(model, encoder, images, labels, turns)


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


def by_us(name, encoder, images, labels, turns):
    """Train as `atrous train` does."""
    import torch

    from atrous.models import build_model
    from atrous.training.heap import keep_freed_memory
    from atrous.training.loop import make_trainer
    from atrous.training.plan import Plan, pick_precision
    from atrous.training.task import SegmentationTask

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    keep_freed_memory()
    batch, size, most = len(images), images.shape[-1], len(turns)
    options = {"auxiliary": True} if name == "deeplab_v3" else {}
    model = build_model(name, encoder_name=encoder, classes=CLASSES, options=options)
    model = model.to(memory_format=torch.channels_last).train()
    task = SegmentationTask(
        model, optimizer="sgd", lr=0.01, weight_decay=1e-4, iterations=most, micro_batch=batch
    )
    plan = Plan(
        iterations=most, done=0, batch_size=batch, micro_batch=batch, crop=(size, size),
        val_every=most, precision=pick_precision("auto", "cpu"), device="cpu", workers=0,
        optimizer="sgd", lr=0.01, seconds=0, memory_bytes=0,
    )  # fmt: skip
    batches = torch.utils.data.DataLoader(turns.of(model, images, labels), batch_size=None)
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(plan, Path(folder), []).fit(task, batches)


def by_peer(name, encoder, images, labels, turns, is_bf16):
    """Train in a plain loop."""
    import torch
    from torch.nn import functional

    model, forward = peer(name, encoder)
    model.train()
    if is_bf16:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    for x, y in turns.of(model, images, labels.long()):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = sum(
                weight * functional.cross_entropy(scores, y, ignore_index=VOID)
                for weight, scores in forward((x - mean) / std)
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


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
