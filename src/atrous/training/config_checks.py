"""What a protocol cannot mean: a schedule's options, factors of parts, fields that contradict."""

from typing import TYPE_CHECKING

from atrous.errors import InputError, unknown
from atrous.training.adversary_options import check_adversary
from atrous.training.schedules import check_schedule

if TYPE_CHECKING:
    from atrous.training.config import TrainConfig

__all__ = ["PARTS", "check_protocol"]

PARTS = ("encoder", "decoder", "classifier", "biases")
"""What `lr_factors` may name; parameter_groups.py says what they are."""


def check_protocol(config: "TrainConfig") -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: A name that there is not, a value out of its range, two fields that exclude
            each other.
    """
    if config.recipe is None and config.resume is None:  # else the schedule may be theirs
        check_schedule(config.schedule, config.schedule_options)
    for part, factor in config.lr_factors.items():
        if part not in PARTS:
            raise unknown("part in --lr-factors", part, PARTS)
        if not 0 <= factor <= 1000:
            raise InputError(f"--lr-factors {part}={factor:g} must lie in 0..1000")
    for name in ("warmup", "freeze_encoder", "freeze_epochs"):
        if (getattr(config, name) or 0) < 0:
            value, flag = getattr(config, name), name.replace("_", "-")
            raise InputError(f"--{flag} is {value}, but must be 0 or more")
    for name in ("momentum", "ema"):
        if not 0 <= (getattr(config, name) or 0) < 1:
            raise InputError(f"--{name} is {getattr(config, name):g}, but must lie in 0..0.999...")
    _check_exclusive(config)
    plateau = "--schedule plateau" if config.schedule == "plateau" else ""
    check_adversary(
        config.adversary,
        config.adversary_options,
        iterations=config.iterations,
        counts_validations="--patience" if config.patience is not None else plateau,
    )


def _check_exclusive(config: "TrainConfig") -> None:
    for first, second in (("freeze_encoder", "freeze_epochs"), ("extend", "iterations")):
        if getattr(config, first) is not None and getattr(config, second) is not None:
            flags = f"--{first} and --{second}".replace("_", "-")
            raise InputError(f"{flags} exclude each other; give one of them")
    if config.extend is not None and config.resume is None:
        raise InputError(f"--extend {config.extend} lengthens a run; name it: --resume RUN")
