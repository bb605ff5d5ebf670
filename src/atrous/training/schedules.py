"""The learning rate over a run: a table of functions from progress to a factor of the base rate.

Every schedule is a function of how far the run has come, `step / steps`, and none keeps state: a
run that is resumed, extended or made shorter follows the same curve. Only "plateau" looks at what
was scored before; it is a function of those scores.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from atrous.errors import InputError, unknown

__all__ = [
    "SCHEDULES",
    "Schedule",
    "check_schedule",
    "lr_factor",
    "num_drops",
    "poly_decay",
    "validations_without_gain",
]

Schedule = Literal["poly", "step", "plateau", "cosine", "constant"]

SCHEDULES: dict[Schedule, dict[str, float]] = {
    "poly": {"power": 0.9},
    "step": {"parts": 3, "factor": 0.1},
    "plateau": {"patience": 5, "factor": 0.1},
    "cosine": {},
    "constant": {},
}
"""Each schedule's options with their defaults: DeepLab v2's power (Sec. 4.1.1), v1's three parts of
2000 iterations (Sec. 5), RefineNet's factor."""


def lr_factor(
    schedule: Schedule,
    step: int,
    steps: int,
    *,
    options: Mapping[str, float],
    warmup: int = 0,
    scores: Sequence[float] = (),
) -> float:
    """Return what the base learning rate is multiplied by at a step.

    - poly: (1 - step / steps) ^ power (DeepLab v2, Sec. 4.1.1).
    - step: times `factor` after each of `parts` equal parts but the last (DeepLab v1, Sec. 5).
    - plateau: times `factor` whenever `patience` validations in a row brought nothing better
      (RefineNet's release, where it was done by hand).
    - cosine: (1 + cos(pi step / steps)) / 2 (Loshchilov, Hutter, ICLR 2017, Sec. 3, no restart).
    - constant: 1 (FCN, SegNet).

    Args:
        schedule: A key of `SCHEDULES`.
        step: Optimizer steps done, from 0.
        steps: Steps in all.
        options: Of the schedule; what is missing has its default.
        warmup: Steps over which the rate rises in a straight line at first (Goyal et al., 2017,
            Sec. 2.2); the last of them has the schedule's full value.
        scores: Mean IoU of every validation so far, for "plateau".

    Example:
        >>> [lr_factor("step", step, 6000, options={}) for step in (1999, 2000, 5999)]
        [1.0, 0.1, 0.010000000000000002]
    """
    chosen = {**SCHEDULES[schedule], **options}
    value = _CURVES[schedule](step, steps, chosen, scores)
    return value * min(1.0, (step + 1) / warmup) if warmup else value


def check_schedule(schedule: str, options: Mapping[str, float]) -> None:
    """Refuse options that a schedule does not have or that cannot be meant.

    Raises:
        InputError: An unknown name, or a value that is out of its range.
    """
    known = next(own for name, own in SCHEDULES.items() if name == schedule)
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of the schedule {schedule}", name, known)
        is_count = name in ("parts", "patience")
        least = 1 if is_count else 0
        if is_count and value % 1 and value < math.inf:
            raise InputError(f"--schedule-options {name}={value:g} must be a whole number")
        if not least <= value < math.inf or (name == "factor" and value > 1):
            limits = "in 0..1" if name == "factor" else f"at {least} or above"
            raise InputError(f"--schedule-options {name}={value:g} must lie {limits}")


def num_drops(scores: Sequence[float], patience: int) -> int:
    """Count how often `patience` validations in a row were no better than the best before them.

    Example:
        >>> num_drops([0.1, 0.3, 0.2, 0.3, 0.2, 0.2, 0.4], patience=2)
        2
    """
    best, waiting, drops = -math.inf, 0, 0
    for score in scores:
        waiting = 0 if score > best else waiting + 1
        best = max(best, score)
        if waiting == patience:
            drops, waiting = drops + 1, 0
    return drops


def validations_without_gain(scores: Sequence[float]) -> int:
    """Count the validations since the best one: what early stopping looks at.

    Example:
        >>> validations_without_gain([0.1, 0.3, 0.2, 0.3])
        2
    """
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def poly_decay(step: int, steps: int, power: float = 0.9) -> float:
    """Factor of the learning rate at `step` of `steps` (DeepLab v2, Sec. 4.1.1).

    Example:
        >>> poly_decay(0, 100), round(poly_decay(50, 100), 4), poly_decay(100, 100)
        (1.0, 0.5359, 0.0)
    """
    return float(max(0.0, 1 - step / steps) ** power)


def _poly(step: int, steps: int, options: Mapping[str, float], scores: Sequence[float]) -> float:
    return poly_decay(step, steps, options["power"])


def _step(step: int, steps: int, options: Mapping[str, float], scores: Sequence[float]) -> float:
    parts = int(options["parts"])
    done = min(step * parts // steps, parts - 1)
    return float(options["factor"] ** done)


def _plateau(step: int, steps: int, options: Mapping[str, float], scores: Sequence[float]) -> float:
    return float(options["factor"] ** num_drops(scores, int(options["patience"])))


def _cosine(step: int, steps: int, options: Mapping[str, float], scores: Sequence[float]) -> float:
    return (1 + math.cos(math.pi * min(step / steps, 1))) / 2


def _constant(
    step: int, steps: int, options: Mapping[str, float], scores: Sequence[float]
) -> float:
    return 1.0


_Curve = Callable[[int, int, Mapping[str, float], Sequence[float]], float]

_CURVES: dict[Schedule, _Curve] = {
    "poly": _poly,
    "step": _step,
    "plateau": _plateau,
    "cosine": _cosine,
    "constant": _constant,
}
