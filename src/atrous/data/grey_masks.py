"""Masks saved as RGB whose red, green and blue are alike: indices in three copies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atrous.data.file_facts import FileFacts
from atrous.data.masks import pack, unpack

__all__ = ["GREY_NOTE", "are_grey", "as_indices", "grey_table"]

GREY_NOTE = "masks are RGB with red = green = blue: that number is read as the class"


def are_grey(masks: Sequence[FileFacts]) -> bool:
    """Return whether there are masks of colours and none of their colours is more than a grey."""
    coloured = [facts for facts in masks if facts.coloured]
    colours = {colour for facts in coloured for colour in facts.counts}
    return bool(coloured) and all(len(set(unpack(colour))) == 1 for colour in colours)


def as_indices(facts: FileFacts) -> FileFacts:
    """Return the facts of a grey mask as if it held its numbers once."""
    if not facts.coloured:
        return facts
    counts = {unpack(colour)[0]: pixels for colour, pixels in facts.counts.items()}
    return replace(facts, coloured=False, counts=counts)


def grey_table(indices: Mapping[int, int]) -> dict[int, int]:
    """Return colour 0xVVVVVV -> label for the table value V -> label."""
    return {pack((v, v, v)): label for v, label in indices.items() if v < 256}
