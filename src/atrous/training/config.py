"""What a training run is told: each field is a flag of `atrous train`, a line of `config.yaml`."""

import math
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from atrous.errors import InputError
from atrous.inference.config import SMALLEST_TILE
from atrous.training.adversary_options import AdversaryName
from atrous.training.config_checks import check_protocol
from atrous.training.schedules import Schedule

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_LR",
    "DEFAULT_LR_OF_PRETRAINED_WITHOUT_NORM",
    "DEFAULT_LR_WITHOUT_NORM",
    "FEWEST_ITERATIONS",
    "CacheKind",
    "Decayed",
    "NormPolicy",
    "TrainConfig",
]

Decayed = Literal["weights", "dense", "scales", "all"]
"""Which parameters decay; see parameter_groups.py."""

NormPolicy = Literal["auto", "train", "fixed_encoder", "fixed", "frozen"]
"""What batch norm does; see norm.py."""

CacheKind = Literal["auto", "none", "memory", "disk", "device"]
"""Where decoded images are kept; see caching.py."""

PROTOCOL = {"brief": True}
"""Metadata of the fields that recipes set and people seldom type: the help names them only."""

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
(FCN on VGG-16): DeepLab v1's (Sec. 5) for the same VGG-16, momentum and mean loss. Of deep
decoders without norm too: RefineNet grows at 0.002 and diverges at 0.005."""

DEFAULT_WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 0.01}


def _noting_names(config: "type[TrainConfig]") -> "type[TrainConfig]":
    """Let a recipe leave alone what a caller in Python names, though it may equal a default."""
    init = config.__init__

    @wraps(init)
    def noting(self: "TrainConfig", **fields: Any) -> None:
        if fields.get("recipe") is not None and "given" not in fields:
            fields["given"] = frozenset(fields)
        init(self, **fields)

    config.__init__ = noting  # type: ignore[method-assign]  # the same one, with `given` filled in
    return config


@_noting_names
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a network on your own images and masks."""

    data: Path | None = None
    """Folder with <split>/images and <split>/masks, or a data.yaml."""
    recipe: str | None = None
    """A paper's protocol (docs/training.md lists them); options override it."""
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
    extend: int | None = field(default=None, metadata=PROTOCOL)
    """With --resume: so many iterations more than were planned, once."""

    iterations: int | None = None
    """Length in optimizer steps ..."""
    epochs: int | None = None
    """... or in passes over the training split (else 40, at least 500 steps)."""
    minutes: float | None = None
    """... or in minutes here, of all phases together, turned into steps."""
    val_every: int | None = None
    """Iterations between two validations; a tenth of the run if not given."""
    patience: int | None = field(default=None, metadata=PROTOCOL)
    """Stop after so many validations without a better one."""

    batch_size: int = 16
    """Images per optimizer step."""
    micro_batch: int | None = None
    """Images in memory at once, the others accumulated; else as many as fit."""
    crop: int | tuple[int, int] | Literal["whole"] | None = field(
        default=None, metadata={"metavar": "SIZE"}
    )
    """Side, height,width, or whole; else the images' size, at most 512."""
    input_scale: float | None = field(default=None, metadata=PROTOCOL)
    """Size at which the network sees images; else the start model's, or 1."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random zoom of the training images, besides."""
    scale_step: float | None = field(default=None, metadata=PROTOCOL)
    """Draw the zoom from steps of this size instead of evenly; 0.25 is DeepLab's."""
    rotation: float = 10.0
    """Random rotation of the training images, degrees either way."""
    flip: float = 0.5
    """Share of training images that are mirrored left to right."""
    elastic: float = field(default=0.0, metadata=PROTOCOL)
    """Random bending of the training images in pixels; 10 is U-Net's."""
    jitter: float = field(default=0.3, metadata=PROTOCOL)
    """Random change of brightness, contrast, saturation, as a fraction."""
    blur: float = field(default=0.0, metadata=PROTOCOL)
    """Share of the training images that are blurred a little, by a 5x5 Gaussian."""
    class_weights: Literal["none", "median_frequency", "inverse", "enet"] = field(
        default="none", metadata={"metavar": "RULE"}
    )
    """What rare classes weigh: none, median_frequency, inverse or enet."""
    loss: str = field(default="cross_entropy", metadata={"metavar": "SUM"})
    """Such as 'cross_entropy + 0.5 dice', a sum of cross_entropy, ohem, focal, dice, jaccard,
    tversky, lovasz, border."""
    adversary: AdversaryName = field(default="none", metadata=PROTOCOL)
    """Second network that learns to tell predicted label maps from true ones."""
    adversary_options: dict[str, str | int | float | bool] = field(
        default_factory=dict, metadata=PROTOCOL
    )
    """encoding, weight, lr, tau, pretrain_segmentor, pretrain_adversary, period."""
    sampling: Literal["uniform", "class_balanced"] = field(
        default="uniform", metadata={"metavar": "RULE"}
    )
    """Crops uniform over images, or class_balanced over classes."""
    patch_sampling: float = field(default=1.0, metadata=PROTOCOL)
    """Share of the patches of 32x32 pixels that count in the loss (FCN)."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9) or adamw."""
    lr: float | None = None
    """At the start; else sgd 0.02, adamw 0.001, less without batch norm."""
    schedule: Schedule = field(default="poly", metadata={**PROTOCOL, "metavar": "RULE"})
    """Of the learning rate: poly, step, plateau, cosine or constant."""
    schedule_options: dict[str, float] = field(default_factory=dict, metadata=PROTOCOL)
    """power of poly; parts and factor of step; patience and factor of plateau."""
    warmup: int = field(default=0, metadata=PROTOCOL)
    """Iterations over which the learning rate rises at first."""
    momentum: float = field(default=0.9, metadata=PROTOCOL)
    """Of sgd."""
    weight_decay: float | None = field(default=None, metadata=PROTOCOL)
    """Of weights, not of biases and norms; else sgd 0.0001, adamw 0.01."""
    decayed: Decayed = field(default="weights", metadata=PROTOCOL)
    """What decays: weights, dense (no depthwise kernels), scales (of norms too) or all."""
    lr_factors: dict[str, float] = field(default_factory=dict, metadata=PROTOCOL)
    """Of the learning rate, by part: encoder, decoder, classifier, and biases besides."""
    clip: float | None = field(default=None, metadata=PROTOCOL)
    """Largest norm of all gradients together; a longer one is shortened to it."""
    ema: float | None = field(default=None, metadata=PROTOCOL)
    """Validate and keep averaged weights, with this decay (0.999, say)."""
    freeze_encoder: int | None = field(default=None, metadata=PROTOCOL)
    """Iterations at first in which the encoder stays as it is ..."""
    freeze_epochs: int | None = field(default=None, metadata=PROTOCOL)
    """... or passes over the training split."""
    norm: NormPolicy = field(default="auto", metadata=PROTOCOL)
    """Batch norm: auto, train, fixed_encoder, fixed (statistics) or frozen (all of it)."""
    norm_momentum: float | None = field(default=None, metadata=PROTOCOL)
    """Of the running statistics; 0.0003 is DeepLab v3's decay of 0.9997."""
    loss_divisor: Literal["weights", "pixels", "images"] = field(
        default="weights", metadata=PROTOCOL
    )
    """What the sum over pixels is divided by: their class weights, their number, or images."""
    supervision: Literal["image", "scores"] = field(default="image", metadata=PROTOCOL)
    """Scores enlarged to the labels' size, or labels picked at the scores' size."""
    auxiliary_weight: float | None = field(default=None, metadata=PROTOCOL)
    """Of a network's auxiliary losses; else the paper's."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = field(
        default="auto", metadata={"metavar": "TYPE"}
    )
    """fp32 or bf16-mixed; auto takes that where it is native."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes the GPU if there is one."""
    tile: int | None = field(default=None, metadata=PROTOCOL)
    """Windows of large images, pixels a side; the model keeps it for later."""
    workers: int | None = field(default=None, metadata=PROTOCOL)
    """Processes that read and augment; else by the number of cores."""
    skip_bad: bool = field(default=False, metadata=PROTOCOL)  # its error names it
    """Leave faulty pairs out instead of refusing to train."""
    cache: CacheKind = field(default="auto", metadata=PROTOCOL)
    """Where decoded images are kept: none, memory, disk or device; auto: where they fit."""
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
        positive = ("iterations", "epochs", "minutes", "val_every", "micro_batch", "lr", "extend")
        for name in (*positive, "patience", "clip", "scale_step"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} is {value}, but must be above 0 and finite")
        if self.input_scale is not None and not 0.25 <= self.input_scale <= 4:
            raise InputError(f"--input-scale is {self.input_scale}, but must lie in 0.25..4")
        if self.batch_size < 1:
            raise InputError(f"--batch-size is {self.batch_size}, but must be at least 1")
        for name in ("workers", "auxiliary_weight"):
            if not 0 <= (value := getattr(self, name) or 0) < math.inf:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} is {value}, but must be 0 or more and finite")
        self._check_sizes()
        self._check_spans()
        check_protocol(self)

    def _check_sizes(self) -> None:
        if self.crop_size is not None and min(self.crop_size) < 16:
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
        limits |= {"blur": 1, "norm_momentum": 1}
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
        if isinstance(self.crop, int):
            return self.crop, self.crop
        return None if self.crop == "whole" else self.crop

    @property
    def decay(self) -> float:
        """Weight decay of the optimizer."""
        given = self.weight_decay
        return given if given is not None else DEFAULT_WEIGHT_DECAY[self.optimizer]
