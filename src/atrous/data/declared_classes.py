"""The keys of a `data.yaml` that say what the numbers or colours in a mask mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrous.data.masks import pack
from atrous.errors import InputError, unknown
from atrous.labels import VOID, Colour

__all__ = ["Declared", "read_declared"]

IGNORE = ("ignore", "void")
LARGEST = 65_535  # value of a 16-bit mask
COLOUR_SHAPE = re.compile(r"\s*\(?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)?\s*")


@dataclass(frozen=True)
class Declared:
    """What the user said; None or empty where nothing was said.

    Attributes:
        names: One a class.
        colours: One a class.
        index_map: Raw index -> label, `VOID` for void.
        colour_map: Raw colour 0xRRGGBB -> label.
        ignore_index: Raw index that means void.
    """

    names: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    index_map: Mapping[int, int] = field(default_factory=dict)
    colour_map: Mapping[int, int] = field(default_factory=dict)
    ignore_index: int | None = None

    @property
    def num_classes(self) -> int | None:
        """Return the number of classes where names or colours tell it."""
        told = self.names or self.colours
        return len(told) if told else None


def read_declared(file: Path, content: Mapping[object, object]) -> Declared:
    """Check names, colours, label_map and ignore_index; `file` names them in messages.

    Raises:
        InputError: A value of the wrong kind, or two that contradict each other.
    """
    names = _names(file, content.get("names"))
    colours = _colours(file, content.get("colours"), names)
    given = content.get("ignore_index")
    ignore_index = _index(given)
    if given is not None and ignore_index is None:
        raise InputError(f"{file}: ignore_index is {given!r}; give a number 0..{LARGEST}")
    declared = Declared(names, colours, ignore_index=ignore_index)
    if ignore_index is not None and ignore_index < (declared.num_classes or 0):
        raise InputError(
            f"{file}: ignore_index {ignore_index} is also the number of a class; "
            f"write label_map: {{{ignore_index}: ignore, ...}} with every other value instead"
        )
    return _with_label_map(file, content.get("label_map"), declared)


def _names(file: Path, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        if sorted(value, key=str) != sorted(range(len(value)), key=str):
            raise InputError(
                f"{file}: names has the keys {', '.join(map(str, list(value)[:8]))}; "
                f"number the classes 0..{len(value) - 1} without gaps"
            )
        value = [value[index] for index in range(len(value))]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{file}: names is {value!r}; give a list, as in [background, crack]")
    for name in value:
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            raise InputError(f"{file}: the class name {name!r} is no text; put it in quotes")
    return tuple(str(name) for name in value)


def _colours(file: Path, value: object, names: tuple[str, ...] | None) -> tuple[Colour, ...] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        keys = names if names and set(value) == set(names) else tuple(range(len(value)))
        if set(value) != set(keys):
            raise InputError(
                f"{file}: colours has the keys {', '.join(map(str, list(value)[:8]))}; "
                "give one for each of the names"
            )
        value = [value[key] for key in keys]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{file}: colours is {value!r}; give a list of [red, green, blue]")
    colours = tuple(_colour(file, colour) for colour in value)
    if names is not None and len(names) != len(colours):
        raise InputError(
            f"{file}: {len(colours)} colours for {len(names)} names; give one for each"
        )
    twice = next((colour for colour in colours if colours.count(colour) > 1), None)
    if twice is not None:
        raise InputError(f"{file}: colour {list(twice)} stands for two classes; change one")
    return colours


def _with_label_map(file: Path, value: object, declared: Declared) -> Declared:
    if value is None:
        return declared
    if not isinstance(value, Mapping):
        raise InputError(f"{file}: label_map is {value!r}; give {{value or colour: class}}")
    indices: dict[int, int] = {}
    colours: dict[int, int] = {}
    for raw, target in value.items():
        label, index = _label(file, target, declared), _index(raw)
        if index is None:
            colours[pack(_colour(file, raw))] = label
        else:
            indices[index] = label
    return Declared(declared.names, declared.colours, indices, colours, declared.ignore_index)


def _label(file: Path, target: object, declared: Declared) -> int:
    """Return the label that a target of `label_map` names."""
    if target is None or (isinstance(target, str) and target in IGNORE):
        return VOID
    classes = declared.num_classes
    if isinstance(target, str):
        names = declared.names or ()
        if target not in names:
            raise unknown(f"class in label_map of {file}:", target, (*names, "ignore"))
        return names.index(target)
    index = _index(target)
    if index is not None and index in (VOID, declared.ignore_index):
        return VOID
    if index is None or index >= (classes or VOID):
        span = f"0..{(classes or VOID) - 1}"
        raise InputError(f"{file}: label_map gives {target!r}; give a class {span} or ignore")
    return index


def _colour(file: Path, value: object) -> Colour:
    """Read [r, g, b], "r, g, b" or "#rrggbb"."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        value = tuple(bytes.fromhex(value[1:]))
    elif isinstance(value, str) and (match := COLOUR_SHAPE.fullmatch(value)):
        value = tuple(int(channel) for channel in match.groups())
    channels = tuple(map(_index, value)) if isinstance(value, Sequence) else ()
    if len(channels) != 3 or any(channel is None or channel > 255 for channel in channels):
        raise InputError(
            f'{file}: {value!r} is no colour; write [128, 64, 0], "128,64,0" or "#804000"'
        )
    red, green, blue = (channel or 0 for channel in channels)
    return red, green, blue


def _index(value: object) -> int | None:
    """Return `value` if it is a number that a mask can hold."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    return None
