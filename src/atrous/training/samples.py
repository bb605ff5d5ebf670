"""The training samples in an order that is a function of the seed alone.

Sample number n of a run is the same image under the same random changes whichever process makes
it, whatever happened before: a resumed run needs no state but its step.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from atrous.data import DataSpec, Pair
from atrous.training.patches import keep_patches
from atrous.training.sampling import Choice, Sampling, Uniform, pixel_of

__all__ = ["BatchOrder", "TrainingSamples", "Transform", "collate", "image_tensor"]


class Transform(Protocol):
    """A joint change of image and labels, all of its randomness from `rng`."""

    def __call__(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator,
        *,
        focus: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the changed image (h, w, C) and labels (h, w), with the pixel (x, y) in them."""
        ...


class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """Sample n of the run: a pair as `sampling` chooses it, randomly transformed.

    Args:
        spec: Reads the pairs.
        pairs: The training split.
        transform: Joint transform to a common crop size.
        seed: The run's seed.
        sampling: Chooses; None: every pair once a pass, in the pass's own random order.
        patch_sampling: Share of the patches whose labels are kept.
    """

    def __init__(
        self,
        spec: DataSpec,
        pairs: tuple[Pair, ...],
        transform: Transform,
        seed: int,
        *,
        sampling: Sampling | None = None,
        patch_sampling: float = 1.0,
    ) -> None:
        self.spec = spec
        self.pairs = pairs
        self.transform = transform
        self.seed = seed
        self.sampling = sampling or Uniform(len(pairs), seed)
        self.patch_sampling = patch_sampling

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return image (C, h, w), uint8 or float32 in [0, 1], and labels (h, w) uint8."""
        chosen = self.sampling(number)
        image, labels = self.spec.read_pair(self.pairs[chosen.pair])
        rng, focus = self.randomness(number, labels, chosen)
        image, labels = self.transform(image, labels, rng, focus=focus)
        if self.patch_sampling < 1:
            draws = np.random.default_rng((self.seed, 5, number))
            labels = keep_patches(labels, self.patch_sampling, draws)
        return image_tensor(image), torch.from_numpy(labels)

    def randomness(
        self, number: int, labels: np.ndarray, chosen: Choice
    ) -> tuple[np.random.Generator, tuple[int, int] | None]:
        """Return what sample `number` is transformed by: the generator, and a pixel to show."""
        rng = np.random.default_rng((self.seed, 1, number))
        draws = np.random.default_rng((self.seed, 4, number))
        return rng, pixel_of(labels, chosen.label, draws)

    def batch(self, numbers: Iterable[int]) -> list[Tensor]:
        """Return images (N, C, h, w) and labels (N, h, w) of some samples."""
        return collate([self[number] for number in numbers])

    def index(self, number: int) -> int:
        """Return which pair sample `number` shows."""
        return self.sampling(number).pair


class BatchOrder(Sampler[list[int]]):
    """The sample numbers of each optimizer step, beginning at any step.

    Args:
        batch_size: Images per optimizer step.
        start: Steps already done.
        stop: Steps in all; two more batches are on offer, because the trainer ends by its own
            count and must never find the loader empty.
        rank: Which process this is, of ...
        world: ... so many that share each batch: every `world`th sample of it is this one's, so
            that the samples of a step do not depend on the number of processes.
    """

    def __init__(
        self, batch_size: int, start: int, stop: int, *, rank: int = 0, world: int = 1
    ) -> None:
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.start = start
        self.stop = stop + 2

    def __len__(self) -> int:
        """Return the number of batches of the whole run, those already done included."""
        return self.stop

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the sample numbers of one step after the other."""
        for step in range(self.start, self.stop):
            first = step * self.batch_size
            yield list(range(first + self.rank, first + self.batch_size, self.world))


def collate(samples: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Stack images and labels; where 8 and 16 bit meet, all images become float32 in [0, 1].

    Left to itself torch promotes the byte 255 to 255.0, which would be 255 times white.
    """
    images, labels = zip(*samples, strict=True)
    if len({image.dtype for image in images}) > 1:
        images = tuple(x / 255 if x.dtype == torch.uint8 else x for x in images)
    stacked: list[Tensor] = default_collate(list(zip(images, labels, strict=True)))
    return stacked


def image_tensor(image: np.ndarray) -> Tensor:
    """Turn (H, W, C) uint8 or uint16 into (C, H, W): uint8 as it is, uint16 as float in [0, 1]."""
    planes = np.stack(cv2.split(image))  # 0.09 ms at 512 x 512; a transposed copy takes 0.23
    if planes.dtype == np.uint16:
        return torch.from_numpy(planes.astype(np.float32) / 65535)
    return torch.from_numpy(planes)
