"""What a step of training does beyond rate and batch: the fields of `TrainConfig` that it needs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atrous.training.adversary_options import AdversaryName
from atrous.training.config import Decayed, NormPolicy, TrainConfig
from atrous.training.schedules import Schedule

__all__ = ["Protocol"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A training protocol: fields of `TrainConfig` with its defaults, `norm` aside."""

    schedule: Schedule = "poly"
    schedule_options: Mapping[str, float] = field(default_factory=dict)
    warmup: int = 0
    momentum: float = 0.9
    decayed: Decayed = "weights"
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    clip: float | None = None
    ema: float | None = None
    freeze_encoder: int = 0
    norm: NormPolicy = "train"
    norm_momentum: float | None = None
    loss: str = "cross_entropy"
    loss_divisor: Literal["weights", "pixels", "images"] = "weights"
    supervision: Literal["image", "scores"] = "image"
    adversary: AdversaryName = "none"
    adversary_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @classmethod
    def of(cls, config: TrainConfig) -> "Protocol":
        """Take the fields of the same names; what is None there has its default here."""
        values = {f.name: getattr(config, f.name) for f in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if value is not None})
