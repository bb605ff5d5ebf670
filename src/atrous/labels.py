"""What the numbers in a mask mean: class names, colours and the index that means void."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atrous.errors import InputError

__all__ = ["VOID", "LabelSet", "default_colours"]

VOID = 255
"""The label of pixels that belong to no class; never trained on, never scored."""

Colour = tuple[int, int, int]

BRIGHT: Colour = (255, 225, 0)
"""Yellow: the lightest of the strong colours, and rare in photos."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set; travels from the data to the model folder and every picture.

    Attributes:
        names: One name per class, index = label; distinct.
        colours: One RGB colour per class, 0..255.
        ignore_index: Label of void pixels: 255, which palette PNGs, warping and scoring share. The
            field is there for readers of a model's `config.json`.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    ignore_index: int = VOID

    def __post_init__(self) -> None:
        """Check the names and give colours where none came.

        Raises:
            InputError: Fewer than two or more than 255 classes, repeated names, wrong colours,
                another label for void.
        """
        count = len(self.names)
        if not 2 <= count <= VOID:
            raise InputError(
                f"{count} class(es) named, but a mask needs 2 to {VOID}; name the background too"
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise InputError(f"class name {repeated[0]!r} occurs twice; rename one of them")
        if self.ignore_index != VOID:
            raise InputError(
                f"ignore_index is {self.ignore_index}, but void is {VOID} in every label set; "
                "if your masks mark it otherwise, say so with ignore_index in their data.yaml"
            )
        if not self.colours:
            object.__setattr__(self, "colours", default_colours(count))
        if len(self.colours) != count:
            raise InputError(f"{len(self.colours)} colours for {count} classes; give one for each")
        for name, colour in zip(self.names, self.colours, strict=True):
            if len(colour) != 3 or not all(0 <= channel <= 255 for channel in colour):
                raise InputError(f"colour of {name!r} is {colour}; give three numbers in 0..255")

    def __len__(self) -> int:
        """Return the number of classes K."""
        return len(self.names)

    @classmethod
    def numbered(cls, count: int) -> "LabelSet":
        """Return `count` classes named class_0, class_1, ... for data without names."""
        return cls(tuple(f"class_{index}" for index in range(count)))

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "LabelSet":
        """Rebuild what `to_json` gave."""
        names, colours, ignore_index = (content[k] for k in ("names", "colours", "ignore_index"))
        assert isinstance(names, Sequence)
        assert isinstance(colours, Sequence)
        assert isinstance(ignore_index, int)
        rgb = tuple((int(r), int(g), int(b)) for r, g, b in colours)
        return cls(tuple(str(name) for name in names), rgb, ignore_index)

    def to_json(self) -> dict[str, object]:
        """Return plain lists and numbers, as they stand in a model's `config.json`."""
        return {
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "ignore_index": self.ignore_index,
        }

    def palette(self) -> np.ndarray:
        """Return the (256, 3) uint8 RGB palette of a mask PNG; what is no class is black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colours
        return palette


def default_colours(count: int) -> tuple[Colour, ...]:
    """Return the PASCAL VOC palette: bit b of a label goes to bit 7 - b / 3 of channel b % 3.

    Two classes are black and `BRIGHT` instead: the one thing that is looked for is often thin (a
    crack, a vessel, a wire), and VOC's dark red hardly shows on black or on a photo.

    Example:
        >>> default_colours(3)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """
    if count == 2:
        return (0, 0, 0), BRIGHT
    colours = []
    for label in range(count):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)
