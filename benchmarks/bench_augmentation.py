"""How many training samples does one core make a second: ours against torchvision.transforms.v2?

Regime: a JPEG of 500 x 375 on disk (made street scenes, or your own by --images) -> decode ->
random scale 0.5-2, rotation by at most 10 degrees, flip, crop of 512 x 512 padded with void,
brightness, contrast and saturation -> normalised float32 (3, 512, 512) and labels (512, 512). One
thread, warm page cache, CPU seconds of the process (so that a busy machine does not count). The
contenders take turns, round after round, with the same images.

torchvision twice: `torchvision` draws the same crops as we do (ScaleJitter, RandomRotation,
RandomHorizontalFlip, RandomCrop, ColorJitter: the sequence of its own segmentation recipe, plus
the rotation); `torchvision, one warp` pads or crops to 512 first, then takes one RandomAffine: one
warp like ours, but it zooms into the crop instead of cropping from the zoomed image.

Run: python benchmarks/bench_augmentation.py [--images FOLDER] [--rounds 15]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor
from torchvision import tv_tensors
from torchvision.io import decode_image
from torchvision.transforms import InterpolationMode, v2

from atrous.data import JointTransform, make_scene, read_image
from atrous.data.loader_worker import prepare_worker
from atrous.ops import Normalization, normalise
from atrous.training.samples import image_tensor

SIZE, CROP = (375, 500), (512, 512)
IMAGENET = Normalization.imagenet()
FILL = {tv_tensors.Image: (124, 116, 104), tv_tensors.Mask: 255}

Sample = Callable[[Path, np.ndarray], tuple[Tensor, Tensor]]


def ours() -> Sample:
    """Return a function that makes one sample by `atrous.data`."""
    transform = JointTransform(CROP)
    rng = np.random.default_rng(0)

    def sample(path: Path, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        image, crop_labels = transform(read_image(path), labels, rng)
        images = image_tensor(image)[None]
        return normalise(images, IMAGENET)[0], torch.from_numpy(crop_labels)

    return sample


def peer(geometry: list[torch.nn.Module]) -> Sample:
    """Return a function that makes one sample by torchvision, `geometry` before the colours."""
    transform = v2.Compose(
        [
            *geometry,
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )

    def sample(path: Path, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        image = tv_tensors.Image(decode_image(str(path)))
        return transform(image, tv_tensors.Mask(torch.from_numpy(labels)))

    return sample


def contenders() -> dict[str, Sample]:
    """Return the samplers to compare, ours first."""
    crop = v2.RandomCrop(CROP, pad_if_needed=True, fill=FILL)
    bilinear = InterpolationMode.BILINEAR
    same = [
        v2.ScaleJitter(SIZE, scale_range=(0.5, 2.0), antialias=True),
        v2.RandomRotation(10, interpolation=bilinear, fill=FILL),
        v2.RandomHorizontalFlip(),
        crop,
    ]
    one_warp = [
        crop,
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(10, scale=(0.5, 2.0), interpolation=bilinear, fill=FILL),
    ]
    return {"atrous": ours(), "torchvision": peer(same), "torchvision, one warp": peer(one_warp)}


def photographs(folder: Path, given: Path | None, count: int) -> list[tuple[Path, np.ndarray]]:
    """Write `count` JPEGs of 500 x 375, or those found in `given` at that size; with labels."""
    found = sorted(given.rglob("*.[jp]*g"))[:count] if given else []
    pairs = []
    for number in range(len(found) or count):
        image, labels = make_scene(number, SIZE)
        if found:
            image = cv2.resize(
                read_image(found[number], 3), SIZE[::-1], interpolation=cv2.INTER_AREA
            )
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        pairs.append((path, labels))
    return pairs


def measure(
    samplers: dict[str, Sample], pairs: list[tuple[Path, np.ndarray]], rounds: int
) -> dict[str, list[float]]:
    """Return samples per CPU second in each round, the first left out as warm-up."""
    rates: dict[str, list[float]] = {name: [] for name in samplers}
    for number in range(rounds + 1):
        for name, sample in samplers.items():
            start = time.process_time()
            for path, labels in pairs:
                image, crop_labels = sample(path, labels)
            elapsed = time.process_time() - start
            assert image.shape == (3, *CROP)
            assert image.dtype == torch.float32
            assert crop_labels.shape == CROP
            if number:
                rates[name].append(len(pairs) / elapsed)
    return rates


def main() -> None:
    """Measure, print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, help="folder of JPEGs to use instead of made scenes")
    parser.add_argument("--count", type=int, default=24, help="images in a round")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    prepare_worker()  # one thread for OpenCV; freed memory is kept, which helps all contenders
    with tempfile.TemporaryDirectory() as folder:
        pairs = photographs(Path(folder), args.images, args.count)
        rates = measure(contenders(), pairs, args.rounds)
    results = {}
    for name, values in rates.items():
        low, middle, high = (round(float(q), 1) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        ratio = round(float(np.median(np.divide(rates["atrous"], values))), 2)
        results[name] = {
            "img_per_cpu_s": middle,
            "quartiles": [low, high],
            "ours_is_faster_by": ratio,
        }
        print(f"{name:24} {middle:7.1f} img per CPU second ({low} to {high})   ours x {ratio}")
    print(json.dumps({"question": "augmentation", "results": results, **circumstances()}))


def circumstances() -> dict[str, object]:
    """Return commit, machine, versions, threads and peak memory."""
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or None,
        "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        "threads": {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads()},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
