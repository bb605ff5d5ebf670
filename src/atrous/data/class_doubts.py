"""Masks that can be read, but may mean something else than they are read as."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from atrous.data.file_facts import FileFacts
from atrous.data.findings import Finding
from atrous.data.masks import pack, unpack
from atrous.labels import VOID, LabelSet

__all__ = ["class_doubts"]


def class_doubts(
    root: Path,
    label_set: LabelSet,
    indices: Mapping[int, int],
    masks: Sequence[FileFacts],
    *,
    told: bool,
    own_colours: bool,
) -> list[Finding]:
    """Return a warning for each doubt, an error where no reading is the likelier one.

    Args:
        root: The data set, named in messages.
        label_set: Its classes.
        indices: Raw index -> label.
        masks: Facts of all masks of indices.
        told: Whether the user said what 255 means.
        own_colours: Whether the user declared the colours of the classes.
    """
    doubts = [] if told else _two_conventions(root, label_set, indices, masks)
    return doubts + (_other_palettes(root, label_set, indices, masks) if own_colours else [])


def _two_conventions(
    root: Path, label_set: LabelSet, indices: Mapping[int, int], masks: Sequence[FileFacts]
) -> list[Finding]:
    """Doubt masks of 0 and 255 where other masks write the same class as 1."""
    only = sum(facts.counts.keys() == {0, VOID} for facts in masks)
    if len(label_set) != 2 or indices.get(VOID) != VOID or not only or only == len(masks):
        return []
    what = f"has {only:,} of {len(masks):,} masks with only 0 and 255, the others have 1"
    if any({1, VOID} <= facts.counts.keys() for facts in masks):
        remedy = "if 255 means class 1 there, save those masks with 1; here 255 is read as void"
        return [Finding("warning", root, what, remedy)]
    remedy = (
        "save all with 1 for class 1; or, if 255 is void, write ignore_index: 255 in a data.yaml"
    )
    return [Finding("error", root, f"{what}: 255 may be class 1 or void", remedy)]


def _other_palettes(
    root: Path, label_set: LabelSet, indices: Mapping[int, int], masks: Sequence[FileFacts]
) -> list[Finding]:
    """Doubt palette masks whose index n has the declared colour of a class that is not n."""
    declared = {pack(colour): label for label, colour in enumerate(label_set.colours)}
    for facts in masks:
        for index, colour in facts.palette.items():
            label, shown = indices.get(index, VOID), declared.get(colour)
            if shown is not None and label not in (shown, VOID):
                what = (
                    f"has palette masks in which index {index} ({label_set.names[label]}) has "
                    f"the colour {list(unpack(colour))} declared for {label_set.names[shown]}"
                )
                remedy = "save those masks as RGB, or map their indices in label_map"
                return [Finding("warning", root, what, remedy)]
    return []
