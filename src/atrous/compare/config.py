"""Everything `atrous compare` can be told: which networks, which budget, one protocol for all."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atrous.errors import InputError
from atrous.inference.config import PublishedCRF

__all__ = ["BUDGETS", "DEFAULT_MINUTES", "CompareConfig"]

BUDGETS = ("minutes", "iterations", "samples")

DEFAULT_MINUTES = 10.0
"""Budget of a cell where none is given."""

MOST_SEEDS = 100


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """One comparison; every field is a flag of `atrous compare`."""

    data: Path
    """Folder with <split>/images and <split>/masks, or a data.yaml."""
    models: tuple[str, ...] = ("unet", "deeplab_v3_plus", "pspnet")
    """Networks, also as network/encoder; or finished runs and model folders."""
    encoders: tuple[str, ...] = ()
    """Encoders, each with each network; else every network's own default."""

    minutes: float | None = None
    """Training time of each network on this machine, 10 if nothing is given ..."""
    iterations: int | None = None
    """... or its optimizer steps ..."""
    samples: int | None = None
    """... or the images that it sees."""
    seeds: int = 1
    """Trainings of each network; three tell luck from merit."""
    split: str = "val"
    """Part of the data to score on; val has also chosen the best iteration."""
    crf: PublishedCRF | None = field(
        default=None, metadata={"bare": "deeplab", "metavar": "[NAME]"}
    )
    """Sharpen all predictions with a dense CRF: deeplab, pydensecrf, ..."""

    weights: dict[str, str] | str = field(default="auto", metadata={"metavar": "START"})
    """Start: auto, imagenet, none; or by encoder: mobilenet_v2=FILE."""
    batch_size: int = 16
    """Images per optimizer step."""
    val_every: int | None = None
    """Iterations between two validations; else a tenth of each training."""
    crop: int | tuple[int, int] | None = None
    """Pixels of a crop, side or height,width; else the image size, at most 512."""
    input_scale: float | None = None
    """Size at which all networks see images; 1 if not given."""
    class_weights: Literal["none", "median_frequency", "inverse", "enet"] = field(
        default="none", metadata={"metavar": "RULE"}
    )
    """What rare classes weigh: none, median_frequency, inverse or enet."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd or adamw, with the learning rate that suits each network."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = "auto"
    """Of training; auto takes bf16-mixed where the processor computes it natively."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train and to measure; auto takes the GPU if there is one."""
    workers: int | None = None
    """Processes that read and augment; else by the number of cores."""
    skip_bad: bool = False
    """Leave faulty pairs out instead of refusing to begin."""

    dry_run: bool = False
    """Only measure what it would cost, and print the plan."""
    out: Path | None = None
    """Its folder; else runs/compare-<data name>. To go on: the same command."""
    notice: str = field(default="", metadata={"metavar": "TEXT"})
    """A line below the title of the report, such as the terms of the images."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: No network, two budgets, or one that does not pay for one step.
        """
        if not self.models:
            raise InputError("nothing to compare; give --models a,b,c")
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"--{' and --'.join(given)} exclude each other; give one budget")
        for name in given:
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise InputError(f"--{name} is {value}, but must be above 0 and finite")
        if self.samples is not None and self.samples < self.batch_size:
            raise InputError(
                f"--samples {self.samples} is less than one step of {self.batch_size} images; "
                f"give at least {self.batch_size}, or lower --batch-size"
            )
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise InputError(f"--seeds is {self.seeds}, but must lie in 1..{MOST_SEEDS}")

    @property
    def budget(self) -> tuple[str, float]:
        """The budget of each cell as ("minutes" | "iterations" | "samples", how much)."""
        for name in BUDGETS:
            if (value := getattr(self, name)) is not None:
                return name, value
        return "minutes", DEFAULT_MINUTES
