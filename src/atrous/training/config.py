"""What a training run is told: each field is a flag of `atrous train`, a line of `config.yaml`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atrous.errors import InputError
from atrous.inference.config import SMALLEST_TILE

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_LR",
    "DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM",
    "DEFAULT_LR_WITHOUT_NORM",
    "FEWEST_ITERATIONS",
    "TrainConfig",
]

DEFAULT_EPOCHS = 40
"""Passes over the training split when no length is asked for ..."""

FEWEST_ITERATIONS = 500
"""... but at least so many steps: on thirty images forty passes teach nothing."""

DEFAULT_LR = {"sgd": 0.02, "adamw": 0.001}
"""Of networks with normalisation layers ..."""

DEFAULT_LR_WITHOUT_NORM = {"sgd": 0.01, "adamw": 0.0005}
"""... of those without (the paper's U-Net), which nothing guards against too large a step ..."""

DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM = {"sgd": 0.001, "adamw": 0.0001}
"""... and where ImageNet features, larger than random ones, are not normalised either
(FCN on VGG-16): DeepLab v1's (Sec. 5) for the same VGG-16, momentum and mean loss."""

DEFAULT_WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 0.01}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a network on your own images and masks."""

    data: Path | None = None
    """Folder with <split>/images and <split>/masks, or a data.yaml."""
    model: str = "deeplab_v3_plus"
    """Network, as `atrous models` lists it."""
    encoder: str | None = None
    """Encoder, as `atrous models` lists it; else the network's own default."""
    weights: str = "auto"
    """Start: imagenet, none, a file or a model folder; auto: imagenet."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Further options of the network, such as output_stride=8."""
    out: Path | None = None
    """Run folder; else runs/<data name>-<number>."""
    resume: Path | None = None
    """Run folder to go on with, exactly where it stopped."""

    iterations: int | None = None
    """Length in optimizer steps ..."""
    epochs: int | None = None
    """... or in passes over the training split (else 40, at least 500 steps)."""
    minutes: float | None = None
    """... or in minutes on this machine, turned into steps before the first."""
    val_every: int | None = None
    """Iterations between two validations; a tenth of the run if not given."""

    batch_size: int = 16
    """Images per optimizer step."""
    micro_batch: int | None = None
    """Images in memory at once, the others accumulated; else as many as fit."""
    crop: int | tuple[int, int] | None = None
    """Pixels of a crop, side or height,width; else the image size, at most 512."""
    input_scale: float | None = None
    """Size at which the network sees images; else the start model's, or 1."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random zoom of the training images, besides."""
    rotation: float = 10.0
    """Random rotation of the training images, degrees either way."""
    flip: float = 0.5
    """Share of training images that are mirrored left to right."""
    elastic: float = 0.0
    """Random bending of the training images in pixels; 10 is U-Net's."""
    jitter: float = 0.3
    """Random change of brightness, contrast, saturation, as a fraction."""

    class_weights: Literal["none", "median_frequency", "inverse", "enet"] = field(
        default="none", metadata={"metavar": "RULE"}
    )
    """What rare classes weigh: none, median_frequency, inverse or enet."""
    loss: str = field(default="cross_entropy", metadata={"metavar": "SUM"})
    """A sum like 'cross_entropy + 0.5 dice'; docs/losses.md."""
    sampling: Literal["uniform", "class_balanced"] = field(
        default="uniform", metadata={"metavar": "RULE"}
    )
    """Crops uniform over images, or class_balanced over classes."""
    patch_sampling: float = 1.0
    """Share of the patches of 32x32 pixels that count in the loss (FCN)."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9) or adamw; the learning rate decays by poly 0.9."""
    lr: float | None = None
    """At the start; else sgd 0.02, adamw 0.001, less without batch norm."""
    weight_decay: float | None = None
    """Of weights, not of biases and norms; else sgd 0.0001, adamw 0.01."""
    auxiliary_weight: float | None = None
    """Of a network's auxiliary losses; else the paper's."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = "auto"
    """auto takes bf16-mixed where the processor computes it natively."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes the GPU if there is one."""
    tile: int | None = None
    """Windows of large images, pixels a side; the model keeps it for later."""
    workers: int | None = None
    """Processes that read and augment; else by the number of cores."""
    skip_bad: bool = False
    """Leave faulty pairs out instead of refusing to train."""
    seed: int = 0
    """Of initial weights, order of images and every random change."""

    given: frozenset[str] = field(
        default=frozenset(), compare=False, repr=False, metadata={"typed_names": True}
    )
    """Names of the fields that were typed: with --resume a typed default says something too."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A value is outside its range, or two lengths are given.
        """
        if self.data is None and self.resume is None:
            raise InputError("nothing to train on; give --data FOLDER (or --resume RUN)")
        lengths = {
            name: getattr(self, name)
            for name in ("iterations", "epochs", "minutes")
            if getattr(self, name) is not None
        }
        if len(lengths) > 1:
            raise InputError(f"--{' and --'.join(lengths)} exclude each other; give one of them")
        for name in ("iterations", "epochs", "minutes", "val_every", "micro_batch", "lr"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"--{name.replace('_', '-')} is {value}, but must be above 0")
        if self.input_scale is not None and not 0.25 <= self.input_scale <= 4:
            raise InputError(f"--input-scale is {self.input_scale}, but must lie in 0.25..4")
        if self.batch_size < 1:
            raise InputError(f"--batch-size is {self.batch_size}, but must be at least 1")
        for name in ("workers", "auxiliary_weight"):
            if (getattr(self, name) or 0) < 0:
                flag, value = name.replace("_", "-"), getattr(self, name)
                raise InputError(f"--{flag} is {value}, but must be 0 or more")
        self._check_sizes()
        self._check_spans()

    def _check_sizes(self) -> None:
        if self.crop is not None and min(self.crop_size or (0,)) < 16:
            raise InputError(f"--crop is {self.crop}, but must be at least 16 pixels")
        if self.tile is not None and self.tile != 0 and self.tile < SMALLEST_TILE:
            raise InputError(
                f"--tile is {self.tile}, but a window needs at least {SMALLEST_TILE} pixels a "
                "side; 0 takes every image whole"
            )
        low, high = self.scale_range
        if not 0 < low <= high < math.inf:
            raise InputError(
                f"--scale-range is {low:g},{high:g}; give the smallest and the largest zoom, both "
                "above 0, such as 0.5,2"
            )

    def _check_spans(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed is {self.seed}, but must lie in 0..4294967295")
        limits = {"rotation": 180, "flip": 1, "elastic": 1000, "jitter": 1, "weight_decay": 1}
        if not 0 < self.patch_sampling <= 1:
            raise InputError(
                f"--patch-sampling is {self.patch_sampling:g}, but must be above 0 and at most 1"
            )
        for name, limit in limits.items():
            if not 0 <= (getattr(self, name) or 0) <= limit:
                flag, value = name.replace("_", "-"), getattr(self, name)
                raise InputError(f"--{flag} is {value}, but must lie in 0..{limit}")

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """The crop as (height, width), None if it is to be derived from the images."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop

    @property
    def decay(self) -> float:
        """Weight decay of the optimizer."""
        given = self.weight_decay
        return given if given is not None else DEFAULT_WEIGHT_DECAY[self.optimizer]
