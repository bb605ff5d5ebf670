"""Losses as they are written on the command line: `cross_entropy + 0.5 dice`.

    expression = term, { "+", term }
    term       = [ factor, [ "*" ] ], name, [ "(", option, "=", value, { ",", ... }, ")" ]

Names are the keys of `LOSSES`, options the fields of the class behind one.
"""

import dataclasses
import math
import re
import typing

from atrous.errors import InputError
from atrous.training.losses.border import Border
from atrous.training.losses.combination import Combination
from atrous.training.losses.cross_entropy import CrossEntropy
from atrous.training.losses.focal import Focal
from atrous.training.losses.loss import Loss
from atrous.training.losses.lovasz import Lovasz
from atrous.training.losses.ohem import OHEM
from atrous.training.losses.overlap import Dice, Jaccard, Tversky

__all__ = ["LOSSES", "parse_loss"]

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "ohem": OHEM,
    "focal": Focal,
    "dice": Dice,
    "jaccard": Jaccard,
    "tversky": Tversky,
    "lovasz": Lovasz,
    "border": Border,
}

NUMBER = r"\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?"
TERM = re.compile(
    rf"\s*(?:(?P<factor>{NUMBER})\s*\*?\s*)?(?P<name>[a-z_]\w*)\s*(?:\((?P<options>[^()]*)\))?\s*",
    re.IGNORECASE,
)
PLUS_BETWEEN_TERMS = re.compile(r"(?<!\de)\+(?![^()]*\))", re.IGNORECASE)


def parse_loss(text: str) -> Combination:
    """Build the loss that `text` describes.

    Args:
        text: Such as "cross_entropy", "cross_entropy(label_smoothing=0.1) + 0.5 dice".

    Raises:
        InputError: It cannot be read, or names a loss, an option or a value that does not exist.

    Example:
        >>> parse_loss("cross_entropy + 0.5 tversky(alpha=0.4)").terms[1]
        (0.5, Tversky(alpha=0.4, beta=0.7))
    """
    return Combination(tuple(_term(part, text) for part in PLUS_BETWEEN_TERMS.split(text)))


def _term(part: str, text: str) -> tuple[float, Loss]:
    found = TERM.fullmatch(part)
    if found is None:
        raise InputError(
            f"--loss {text!r} cannot be read at {part.strip()!r}; write it like "
            "'cross_entropy + 0.5 dice' or 'focal(gamma=2)'"
        )
    factor = float(found["factor"] or 1)
    if not 0 < factor < math.inf:
        raise InputError(
            f"--loss {text!r}: the factor of {found['name']} is {factor:g}, but must be above 0"
        )
    return factor, _loss(found["name"], found["options"] or "")


def _loss(name: str, options: str) -> Loss:
    """Build one loss.

    Raises:
        InputError: There is no such loss, option or value.
    """
    if name not in LOSSES:
        raise InputError(f"unknown loss {name!r}; there are {', '.join(LOSSES)}")
    kinds = _options_of(LOSSES[name])
    given: dict[str, float] = {}
    for pair in filter(None, (text.strip() for text in options.split(","))):
        key, _, value = (side.strip() for side in pair.partition("="))
        if key not in kinds:
            listed = f"it has {', '.join(kinds)}" if kinds else "it has none"
            raise InputError(f"loss {name} has no option {key!r}; {listed}")
        if key in given:
            raise InputError(f"loss {name} has two values of {key}; give one")
        given[key] = _value(f"{name}({key}={value})", value, kinds[key])
    try:
        return LOSSES[name](**given)
    except InputError as error:
        raise InputError(f"loss {name}: {error}") from None


def _options_of(loss: type[Loss]) -> dict[str, object]:
    kinds = typing.get_type_hints(loss)
    assert dataclasses.is_dataclass(loss)
    return {field.name: kinds[field.name] for field in dataclasses.fields(loss)}


def _value(where: str, text: str, kind: object) -> float:
    """Read a value of one of the two types that options have."""
    try:
        number = int(text) if kind is int else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"loss {where}: the value must be {wanted}")
    return number
