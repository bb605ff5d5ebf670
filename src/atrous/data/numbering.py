"""Masks whose numbers cannot be class numbers, where nobody has said what they are.

A class is a number from 0 on. Masks of 0 and 128, or of 0 and 255 with smoothed edges, would make
129 or 255 classes, nearly all of them empty, and a network would be trained on them in silence.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from atrous.data.declared_classes import Declared
from atrous.data.file_facts import FileFacts
from atrous.data.findings import Finding
from atrous.data.masks import unpack
from atrous.errors import counted
from atrous.labels import VOID

__all__ = ["numbering_faults"]

MOST_LISTED = 8
"""So many values are written out as a label_map."""

RARE = 0.1
"""Of the masks: a value in fewer may be a slip of somebody's pen."""

LARGEST_USUAL = 150
"""Label of the last class of the largest common data set (ADE20K, 0 its void)."""


def numbering_faults(
    root: Path, declared: Declared, masks: Sequence[FileFacts], paths: Sequence[Path] = ()
) -> list[Finding]:
    """Return an error where the masks' values are no numbering of classes.

    Args:
        root: The data set, named in messages.
        declared: What a data.yaml says; who names the classes knows their number.
        masks: Facts of all masks of indices.
        paths: Where they lie, if that is known.
    """
    totals: Counter[int] = Counter()
    for facts in masks:
        totals.update(facts.counts)
    if declared.num_classes is not None:
        return []
    if _is_smoothed(totals):
        what = f"has masks of 0 and 255 with {len(totals) - 2:,} values between at their edges"
        remedy = "export or resize them again without smoothing (nearest neighbour)"
        return [Finding("error", root, what, remedy)]
    known = {*declared.index_map, declared.ignore_index, VOID}
    values = {value for value in totals if value not in known}
    labels = {value for value in values if value < VOID}
    labels = values if labels <= {0} else labels  # 0 and 65,535, say
    if not labels or 2 * len(labels) >= max(labels) + 1 or _has_coloured_palette(masks):
        return []
    return [_gaps(root, sorted(labels), masks, paths)]


def _is_smoothed(totals: Mapping[int, int]) -> bool:
    """Tell masks of 0 and 255 whose edges were interpolated: few pixels of many values between."""
    between = totals.keys() - {0, VOID}
    if not {0, VOID} <= totals.keys() or len(between) < 3 or max(between) <= LARGEST_USUAL:
        return False
    return max(totals[value] for value in between) < min(totals[0], totals[VOID])


def _has_coloured_palette(masks: Sequence[FileFacts]) -> bool:
    """Tell masks whose palette gives the values colours: somebody has numbered the classes."""
    colours = {colour for facts in masks for colour in facts.palette.values()}
    return any(len(set(unpack(colour))) > 1 for colour in colours)


def _gaps(
    root: Path, labels: list[int], masks: Sequence[FileFacts], paths: Sequence[Path]
) -> Finding:
    """Say that most of the numbers up to the largest never occur."""
    largest = labels[-1]
    having = [number for number, facts in enumerate(masks) if largest in facts.counts]
    where = f", such as {paths[having[0]]}" if paths else ""
    shown = ", ".join(f"{value:,}" for value in labels[:MOST_LISTED])
    more = ", ..." if len(labels) > MOST_LISTED else ""
    what = (
        f"has masks with the values {shown}{more}: {largest + 1:,} classes, of which most never "
        f"occur ({largest:,} is in {len(having):,} of {len(masks):,} masks{where})"
    )
    remedy = f"write names in a data.yaml, one for each class 0..{largest:,}"
    if 2 <= len(labels) <= MOST_LISTED:
        pairs = ", ".join(f"{value}: {label}" for label, value in enumerate(labels))
        remedy = f"write label_map: {{{pairs}}} in a data.yaml, or names for all {largest + 1:,}"
    if len(having) <= RARE * len(masks):
        remedy = f"correct the {counted(len(having), 'mask')} with {largest:,}, or {remedy}"
    return Finding("error", root, what, remedy)
