"""Which classes a data set has: from what the user declared and from what the masks hold.

Nothing is guessed in silence: each decision that nobody asked for becomes a note, and where two
readings are possible and the numbers do not decide, it is an error that says what to write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.data.class_doubts import class_doubts
from atrous.data.coding import MaskCoding
from atrous.data.declared_classes import Declared
from atrous.data.file_facts import FileFacts
from atrous.data.findings import Finding
from atrous.data.grey_masks import GREY_NOTE, are_grey, as_indices, grey_table
from atrous.data.masks import pack, unpack
from atrous.data.numbering import numbering_faults
from atrous.labels import VOID, Colour, LabelSet, default_colours

__all__ = ["Classes", "decide_classes"]

BINARY = {0: 0, VOID: 1}


@dataclass(frozen=True)
class Classes:
    """The decision.

    Attributes:
        label_set: Names and colours.
        coding: Raw number -> label.
        notes: What was decided without being told.
        findings: What is wrong or doubtful about the masks as a whole.
    """

    label_set: LabelSet
    coding: MaskCoding
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """Return whether the masks can be read at all."""
        return all(finding.severity != "error" for finding in self.findings)


def decide_classes(
    root: Path, declared: Declared, masks: Sequence[FileFacts], paths: Sequence[Path] = ()
) -> Classes:
    """Decide from the facts of all masks that can be read.

    Args:
        root: The data set, named in messages.
        declared: What a data.yaml says; empty without one.
        masks: Facts without a fault, of every split.
        paths: Where they lie, for messages.
    """
    grey = not (declared.colours or declared.colour_map) and are_grey(masks)
    masks = [as_indices(facts) for facts in masks] if grey else masks
    plain = [facts for facts in masks if not facts.coloured]
    places = [path for path, facts in zip(paths, masks, strict=False) if not facts.coloured]
    values = {value for facts in plain for value in facts.counts}
    told = declared.index_map.get(VOID) is not None or declared.ignore_index is not None
    binary = values == set(BINARY) and not told
    count = _num_classes(declared, values, binary=binary)
    findings, notes = numbering_faults(root, declared, plain, places), [GREY_NOTE] if grey else []
    if binary and count == 2:
        indices: Mapping[int, int] = BINARY
        notes.append(
            "masks hold only 0 and 255: 255 is read as class 1, not void; "
            "write label_map in a data.yaml to choose otherwise"
        )
    else:
        indices = _index_table(declared, count)
        if binary:
            findings.append(_binary_among_many(root, len(plain), count))
    colours = grey_table(indices) if grey else _colour_table(declared)
    if len(plain) < len(masks) and not colours:
        findings.append(_colours_undeclared(root, masks))
    if declared.num_classes is None and not findings:
        notes.append(f"{count} classes, named by number; write names in a data.yaml to name them")
    label_set = LabelSet(
        declared.names or LabelSet.numbered(count).names,
        declared.colours or _palette_colours(count, indices, plain),
    )
    findings += class_doubts(
        root, label_set, indices, plain, told=told, own_colours=declared.colours is not None
    )
    return Classes(label_set, MaskCoding(indices, colours), tuple(notes), tuple(findings))


def _index_table(declared: Declared, count: int) -> dict[int, int]:
    """Return raw index -> label: its own number, unless declared otherwise.

    With a label_map, a class that it maps to has only the values that it lists: in {1: 0, 2: 1}
    nothing says what 0 is, and to call it class 0 too would be wrong in silence.
    """
    claimed = set(declared.index_map.values())
    table = {label: label for label in range(count) if label not in claimed}
    table[VOID] = VOID
    if declared.ignore_index is not None:
        table[declared.ignore_index] = VOID
    return table | dict(declared.index_map)


def _num_classes(declared: Declared, values: set[int], *, binary: bool) -> int:
    """Return the declared number, or one more than the largest label that occurs."""
    if declared.num_classes is not None:
        return declared.num_classes
    mapped = [*declared.index_map.values(), *declared.colour_map.values()]
    own = [value for value in values if value not in declared.index_map]
    own = [] if binary else [value for value in own if value != declared.ignore_index]
    return max([1, *(label for label in (*mapped, *own) if label < VOID)]) + 1


def _colour_table(declared: Declared) -> dict[int, int]:
    table = {pack(colour): label for label, colour in enumerate(declared.colours or ())}
    return table | dict(declared.colour_map)


def _binary_among_many(root: Path, masks: int, count: int) -> Finding:
    return Finding(
        "error",
        root,
        f"has {masks:,} masks that hold only 0 and 255, but declares {count} classes",
        "write label_map: {255: NAME} in its data.yaml (or {255: ignore}), or give two names",
    )


def _colours_undeclared(root: Path, masks: Sequence[FileFacts]) -> Finding:
    coloured = [facts for facts in masks if facts.coloured]
    totals: dict[int, int] = {}
    for facts in coloured:
        for colour, pixels in facts.counts.items():
            totals[colour] = totals.get(colour, 0) + pixels
    common = sorted(totals, key=lambda colour: -totals[colour])[:4]
    shown = ", ".join(str(list(unpack(colour))) for colour in common)
    more = ", ..." if len(totals) > len(common) else ""
    return Finding(
        "error",
        root,
        f"has {len(coloured):,} masks in colour ({len(totals):,} colours: {shown}{more}), "
        "but nothing says which colour is which class",
        "write names and colours, one [red, green, blue] for each, in its data.yaml",
    )


def _palette_colours(
    count: int, indices: Mapping[int, int], plain: Sequence[FileFacts]
) -> tuple[Colour, ...]:
    """Return the colours that the masks' own palettes show, or none if they tell nothing apart."""
    shown: dict[int, int] = {}
    for facts in plain:
        for value, colour in facts.palette.items():
            if indices.get(value, VOID) < count:
                shown.setdefault(indices[value], colour)
    grey = all(len(set(unpack(colour))) == 1 for colour in shown.values())
    if len(set(shown.values())) < len(shown) or not shown or (grey and count > 2):
        return ()
    defaults = default_colours(count)
    return tuple(
        unpack(shown[label]) if label in shown else defaults[label] for label in range(count)
    )
