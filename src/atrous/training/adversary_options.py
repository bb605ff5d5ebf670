"""What adversarial training is told beside its adversary's name, and whose turn a step is.

Two networks learn, and never in the same step. Luc et al. (NIPS 2016 workshop) alternate slowly,
some hundred steps each, which they found more stable than step by step, and let the adversary learn
first while the segmentation network, itself trained before, stays as it is. Whose turn it is
follows from the number of the step alone, so a run that is resumed has no turn to remember.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from atrous.errors import InputError, unknown

__all__ = ["AdversaryName", "AdversaryOptions", "Turn", "check_adversary"]

AdversaryName = Literal[
    "none", "large_fov", "large_fov_light", "small_fov", "small_fov_light", "stanford"
]
"""The networks of `atrous.models.adversarial`."""

Turn = Literal["alone", "adversary", "segmentor"]
"""Who learns: the segmentation network from the labels alone, the adversary, or the segmentation
network from the labels and the adversary."""

Option = str | int | float | bool

ENCODINGS = ("basic", "product", "scaling")


@dataclass(frozen=True, kw_only=True)
class AdversaryOptions:
    """What `--adversary-options` may say.

    Attributes:
        encoding: What the adversary is shown: basic, product or scaling (models/adversarial.py).
        weight: Of the adversary's opinion in the segmentation network's loss (lambda); ours,
            beside a mean over pixels. The paper sums over pixels.
        lr: Initial learning rate of the adversary's Adam; it follows the run's schedule.
        tau: Least probability of the true label in the encoding scaling.
        pretrain_segmentor: Iterations at first in which the segmentation network learns alone; 0
            where it begins with a trained model, as the paper's does.
        pretrain_adversary: Iterations after them in which the adversary learns alone.
        period: Then so many iterations for the one, so many for the other, the segmentation
            network first.
    """

    encoding: str = "scaling"
    weight: float = 0.1
    lr: float = 1e-4
    tau: float = 0.9
    pretrain_segmentor: int = 0
    pretrain_adversary: int = 100
    period: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A value is out of its range.
        """
        if self.encoding not in ENCODINGS:
            raise unknown("encoding in --adversary-options", self.encoding, ENCODINGS)
        limits = {"weight": (0, 1e6), "lr": (0, 1), "tau": (0, 1)}
        for name in ("pretrain_segmentor", "pretrain_adversary"):
            limits[name] = (0, math.inf)
        limits["period"] = (1, math.inf)
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                span = f"in {least}..{most:g}" if most < math.inf else f"at {least} or above"
                raise InputError(f"--adversary-options {name}={value:g} must lie {span}")

    @classmethod
    def of(cls, given: Mapping[str, Option]) -> "AdversaryOptions":
        """Read what is given; what is not has its default.

        Raises:
            InputError: A name that there is not, or a value of the wrong kind.
        """
        kinds = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        for name in given:
            if name not in kinds:
                raise unknown("option in --adversary-options", name, kinds)
        values: dict[str, Any] = {n: _value(n, value, kinds[n]) for n, value in given.items()}
        return cls(**values)

    def turn(self, step: int) -> Turn:
        """Return who learns in the step after so many.

        Example:
            >>> options = AdversaryOptions(pretrain_segmentor=1, pretrain_adversary=2, period=2)
            >>> [options.turn(step)[0] for step in range(8)]
            ['a', 'a', 'a', 's', 's', 'a', 'a', 's']
        """
        if step < self.pretrain_segmentor:
            return "alone"
        past = step - self.pretrain_segmentor - self.pretrain_adversary
        return "adversary" if past < 0 or past // self.period % 2 else "segmentor"

    def own_steps(self, iterations: int) -> int:
        """Return in how many of so many iterations the segmentation network learns."""
        alone = min(iterations, self.pretrain_segmentor)
        past = max(0, iterations - self.pretrain_segmentor - self.pretrain_adversary)
        rounds, rest = divmod(past, 2 * self.period)
        return alone + rounds * self.period + min(rest, self.period)

    def check_length(self, iterations: int) -> None:
        """Require a run that is long enough for both to learn from each other.

        Raises:
            InputError: It ends before the segmentation network has heard of the adversary.
        """
        before = self.pretrain_segmentor + self.pretrain_adversary
        if iterations <= before:
            first = min(self.pretrain_segmentor, iterations // 2)
            second = min(self.pretrain_adversary, iterations // 10)
            raise InputError(
                f"{iterations} iterations end within the {self.pretrain_segmentor} + "
                f"{self.pretrain_adversary} in which one network learns alone; take more, or "
                f"--adversary-options pretrain_segmentor={first},pretrain_adversary={second}"
            )

    def note(self, adversary: str) -> str:
        """Return a line about who learns when."""
        firsts = (
            (self.pretrain_segmentor, "the network alone"),
            (self.pretrain_adversary, f"the adversary {adversary} alone"),
        )
        parts = [f"{count} iterations {who}" for count, who in firsts if count]
        parts.append(f"{self.period} each in turn")
        return (
            f"Turns    {', then '.join(parts)}; shown: {self.encoding}, weight {self.weight:g}; "
            "validations in the adversary's turns repeat the score"
        )


def check_adversary(
    adversary: AdversaryName,
    options: Mapping[str, Option],
    *,
    iterations: int | None,
    counts_validations: str,
) -> None:
    """Refuse what cannot be meant.

    Args:
        adversary: Its name, or "none".
        options: As they were given.
        iterations: Length of the run, if it is known.
        counts_validations: The option that looks at validations without gain, if there is one.

    Raises:
        InputError: A name or value that there is not, an encoding that does not suit the
            adversary, a run that is too short, or a rule that would take the adversary's turns for
            a standstill.
    """
    if adversary == "none":
        return
    chosen = AdversaryOptions.of(options)
    if adversary == "stanford" and chosen.encoding == "product":
        raise InputError(
            "--adversary stanford sees the image itself; "
            "give --adversary-options encoding=basic (or scaling)"
        )
    if counts_validations:
        raise InputError(
            f"{counts_validations} counts validations without gain, and in the adversary's turns "
            "there is none; leave it or --adversary out"
        )
    if iterations is not None:
        chosen.check_length(iterations)


def _value(name: str, value: Option, kind: type) -> Option:
    """Return a value as its option takes it."""
    if kind is str or (kind is float and isinstance(value, int | float)):
        return kind(value)
    if isinstance(value, bool) or not isinstance(value, int):
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"--adversary-options {name}={value}: the value must be {wanted}")
    return value
