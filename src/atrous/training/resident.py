"""Training samples made on the device, where the whole split lies.

The host only draws: which image, which crop, which colours, from the same generators as always.
No pixel crosses to the device after the first step, and no loader process is needed.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from atrous.data import DataSpec, JointTransform
from atrous.data.batch_transform import transform_batch
from atrous.data.cache.resident_pairs import ResidentPair, ResidentPairs
from atrous.data.transforms import Draw
from atrous.training.samples import TrainingSamples, image_tensor

__all__ = ["ResidentSamples", "resident_bytes", "resident_pairs"]


class ResidentSamples(Dataset[tuple[int, Draw]]):
    """Sample n as what was drawn for it; `collate` makes a batch of such on the device.

    Args:
        samples: Choose and draw; their transform is a `JointTransform` to one crop size.
        resident: The split on the device.
    """

    def __init__(self, samples: TrainingSamples, resident: ResidentPairs) -> None:
        assert isinstance(samples.transform, JointTransform)
        self.transform = samples.transform
        self.samples = samples
        self.pairs = [resident.pairs[pair] for pair in samples.pairs]

    def __getitem__(self, number: int) -> tuple[int, Draw]:
        """Return which pair sample `number` shows, and what is done to it."""
        chosen = self.samples.sampling(number)
        labels = self.pairs[chosen.pair].on_host
        rng, focus = self.samples.randomness(number, labels, chosen)
        return chosen.pair, self.transform.draw(rng, labels.shape, focus=focus)

    def batch(self, numbers: Iterable[int]) -> list[Tensor]:
        """Return images (N, C, h, w) and labels (N, h, w) of some samples, on the device."""
        return self.collate([self[number] for number in numbers])

    def collate(self, drawn: list[tuple[int, Draw]]) -> list[Tensor]:
        """Do what was drawn; return images and labels as `batch` does."""
        pairs = [self.pairs[number] for number, _ in drawn]
        return [
            *transform_batch(
                self.transform,
                [draw for _, draw in drawn],
                [pair.image for pair in pairs],
                [pair.labels for pair in pairs],
            )
        ]


def resident_bytes(spec: DataSpec) -> int:
    """Return what the training split takes on a device."""
    depths = spec.statistics["train"].depths
    value = 4 if any(depth > 1 for _, depth in depths) else 1
    return sum(pixels * (spec.channels * value + 1) for pixels, _ in depths)


def resident_pairs(spec: DataSpec, device: str) -> ResidentPairs:
    """Decode the training split and put it on a device.

    Raises:
        FileError: A file has changed since the scan.
        RuntimeError: The device has no such memory.
    """
    pairs = spec.splits["train"]
    is_deep = any(depth > 1 for _, depth in spec.statistics["train"].depths)

    def on_device(decoded: tuple[np.ndarray, np.ndarray]) -> ResidentPair:
        image, labels = image_tensor(decoded[0]), decoded[1]
        if is_deep and image.dtype == torch.uint8:
            image = image / 255
        return ResidentPair(image.to(device), torch.tensor(labels, device=device), labels)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoders release the lock
        return ResidentPairs(
            {
                pair: on_device(decoded)
                for pair, decoded in zip(pairs, pool.map(spec.read_pair, pairs), strict=True)
            }
        )
