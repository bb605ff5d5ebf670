"""What a training run is told: each field is a flag of `atrous train`, a line of `config.yaml`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atrous.errors import InputError

__all__ = ["DEFAULT_EPOCHS", "FEWEST_ITERATIONS", "TrainConfig"]

DEFAULT_EPOCHS = 40
"""Passes over the training split when no length is asked for ..."""

FEWEST_ITERATIONS = 500
"""... but at least so many steps: on thirty images forty passes teach nothing."""

DEFAULT_LR = {"sgd": 0.02, "adamw": 0.001}
DEFAULT_WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 0.01}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a network on your own images and masks."""

    data: Path | None = None
    """Folder with <split>/images and <split>/masks, or a data.yaml."""
    model: str = "deeplab_v3_plus"
    """Network: a name that `atrous models` lists."""
    encoder: str | None = None
    """Encoder: a name that `atrous models` lists; the network's own default if not given."""
    weights: str = "auto"
    """Start of the encoder: auto (imagenet if reachable), imagenet, none, or a file."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Further options of the network, e.g. --options '{output_stride: 8}'."""
    out: Path | None = None
    """Run folder; runs/<data name>-<number> if not given."""
    resume: Path | None = None
    """Run folder to go on with, exactly where it stopped."""

    iterations: int | None = None
    """Length in optimizer steps ..."""
    epochs: int | None = None
    """... or in passes over the training split (default: 40, at least 500 steps) ..."""
    minutes: float | None = None
    """... or in minutes on this machine, turned into iterations before the first step."""
    val_every: int | None = None
    """Iterations between two validations; ten validations in a run if not given."""

    batch_size: int = 16
    """Images per optimizer step."""
    micro_batch: int | None = None
    """Images in memory at once; the rest of a batch is accumulated. As many as fit if not given."""
    crop: int | tuple[int, int] | None = None
    """Training crop in pixels, side or height,width; the image size, at most 512, if not given."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random zoom of the training images."""
    rotation: float = 10.0
    """Random rotation of the training images, at most so many degrees either way."""
    flip: float = 0.5
    """Share of training images that are mirrored left to right."""
    jitter: float = 0.3
    """Random change of brightness, contrast and saturation, as a fraction."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9) or adamw; both decay by (1 - iteration / iterations) ** 0.9."""
    lr: float | None = None
    """Learning rate at the start; 0.02 for sgd, 0.001 for adamw if not given."""
    weight_decay: float | None = None
    """Weight decay; 0.0001 for sgd, 0.01 for adamw if not given."""
    auxiliary_weight: float | None = None
    """Weight of a network's auxiliary losses; the paper's if not given."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = "auto"
    """auto takes bf16-mixed where the processor computes it natively."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes the GPU if there is one."""
    workers: int | None = None
    """Processes that read and augment images; from the number of cores if not given."""
    skip_bad: bool = False
    """Leave faulty pairs out instead of refusing to train."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and every random change."""

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
        if self.batch_size < 1:
            raise InputError(f"--batch-size is {self.batch_size}, but must be at least 1")
        for name in ("workers", "auxiliary_weight"):
            if (getattr(self, name) or 0) < 0:
                flag, value = name.replace("_", "-"), getattr(self, name)
                raise InputError(f"--{flag} is {value}, but must be 0 or more")
        if self.crop is not None and min(self.crop_size or (0,)) < 16:
            raise InputError(f"--crop is {self.crop}, but must be at least 16 pixels")
        self._check_spans()

    def _check_spans(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed is {self.seed}, but must lie in 0..4294967295")
        for name, limit in (("rotation", 180), ("flip", 1), ("jitter", 1), ("weight_decay", 1)):
            if not 0 <= (getattr(self, name) or 0) <= limit:
                flag, value = name.replace("_", "-"), getattr(self, name)
                raise InputError(f"--{flag} is {value}, but must lie in 0..{limit}")

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """The crop as (height, width), None if it is to be derived from the images."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop

    @property
    def initial_lr(self) -> float:
        """Learning rate of the first iteration."""
        return self.lr if self.lr is not None else DEFAULT_LR[self.optimizer]

    @property
    def decay(self) -> float:
        """Weight decay of the optimizer."""
        given = self.weight_decay
        return given if given is not None else DEFAULT_WEIGHT_DECAY[self.optimizer]
