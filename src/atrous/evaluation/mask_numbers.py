"""In which numbers finished masks are written: class indices, or those of the true labels.

Tools write either: 0 and 1, or the 0 and 255 (colours, raw ids) that they were trained on. Class
indices are what we ask for; the labels' own numbers are understood where class indices are not
what the masks hold. One reading holds for the whole folder: a mask of one class may fit both.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from atrous.data.coding import MaskCoding
from atrous.data.decoding.headers import judge_header
from atrous.data.findings import FileError, Finding
from atrous.data.masks import RawMask, read_mask, unpack, value_counts
from atrous.data.spec import DataSpec, Pair
from atrous.errors import InputError
from atrous.evaluation.loop import Progress
from atrous.labels import VOID

__all__ = ["MaskNumbers", "check_masks"]

LISTED = 5
"""Of the masks that cannot be scored, so many are told."""


Way = Literal["indices", "data"]


@dataclass(frozen=True)
class MaskNumbers:
    """One way to read masks.

    Attributes:
        name: "indices" of the classes, or those of the "data".
        coding: Raw number -> class; none is void.
    """

    name: Way
    coding: MaskCoding

    def read(self, path: Path, labels: np.ndarray) -> np.ndarray:
        """Return the classes (H, W) in a mask; what lies under void in `labels` is any class.

        Raises:
            InputError: The mask is not what `check_masks` saw.
        """
        raw, void = read_mask(path), labels == VOID
        table = self.coding.table(raw.coloured)
        if raw.values.shape != labels.shape or not table:
            raise InputError(f"{path} has changed since all masks were checked; score them again")
        some = np.array(min(table), np.min_scalar_type(min(table)))
        known = replace(raw, values=np.where(void, some, raw.values))
        return self.coding.labels(known, path)


def check_masks(
    folder: Path,
    masks: Mapping[Pair, Path],
    spec: DataSpec,
    progress: Progress | None = None,
) -> MaskNumbers:
    """Look at every mask before the first is scored; return how they are to be read.

    Args:
        folder: Where they lie, named in messages.
        masks: The mask of each pair.
        spec: The data with the true labels.
        progress: Told at the start and after each mask.

    Raises:
        InputError: Masks that cannot be scored: damaged, of another size, in colours, or with a
            value that is no class. It says how many, and of the first what and why.
    """
    ways = _ways(spec)
    faults: dict[Way, list[Finding]] = {way.name: [] for way in ways}
    values: set[int] = set()
    if progress is not None:
        progress(0, len(masks))
    for index, (pair, path) in enumerate(masks.items()):
        try:
            raw = _sized(path, pair)
        except FileError as error:
            found = dict.fromkeys(faults, error.finding)
        else:
            found = _faults(path, raw, pair, spec, ways)
            values |= set() if found else set(value_counts(raw.values))
        for name, fault in found.items():
            faults[name].append(fault)
        if progress is not None:
            progress(index + 1, len(masks))
    best = min(ways, key=lambda way: len(faults[way.name]))  # the first of equals
    if faults[best.name]:
        raise _refusal(folder, len(masks), faults[best.name])
    differ = any(way.coding.indices.get(value, value) != value for way in ways for value in values)
    if differ and not any(faults.values()):
        logging.getLogger(__name__).warning(
            "the masks in %s may be class indices or the labels' own numbers, which differ: "
            "they are read as class indices",
            folder,
        )
    return best


def _ways(spec: DataSpec) -> list[MaskNumbers]:
    """Return the ways to read masks, the likelier first; one where both are the same."""
    indices = {index: index for index in range(len(spec.label_set))}
    own, colours = (
        {raw: label for raw, label in table.items() if label != VOID}
        for table in (spec.coding.indices, spec.coding.colours)
    )
    ways = [MaskNumbers("indices", MaskCoding(indices))]
    if own != indices or colours:
        ways.append(MaskNumbers("data", MaskCoding(own, colours)))
    return ways


def _sized(path: Path, pair: Pair) -> RawMask:
    """Return a mask that has the size of its labels."""
    raw, header = read_mask(path), judge_header(pair.mask)
    if raw.values.shape != (header.height, header.width):
        height, width = raw.values.shape
        raise FileError(
            path,
            f"is {width}x{height}, but its labels are {header.width}x{header.height}",
            "resize the scores (never the mask) to the labels' size before the argmax",
        )
    return raw


def _faults(
    path: Path, raw: RawMask, pair: Pair, spec: DataSpec, ways: Iterable[MaskNumbers]
) -> dict[Way, Finding]:
    """Return what keeps a mask from being read each way; numbers under void are no fault."""
    tables = {way.name: way.coding.table(raw.coloured) for way in ways}
    if not any(tables.values()):
        what = "is a picture in colour, but a predicted mask holds one class index per pixel"
        fault = Finding("error", path, what, "write it as greyscale or palette PNG")
        return dict.fromkeys(tables, fault)
    counts = value_counts(raw.values)
    if any(counts.keys() - table for table in tables.values()):
        counts = value_counts(raw.values[spec.read_labels(pair) != VOID])
    return {
        name: _strange(path, raw, {v: counts[v] for v in counts if v not in table}, spec)
        for name, table in tables.items()
        if counts.keys() - table
    }


def _strange(path: Path, raw: RawMask, counts: Mapping[int, int], spec: DataSpec) -> Finding:
    """Return the fault of a mask with numbers that are no class."""
    value = min(counts)
    shown = list(unpack(value)) if raw.coloured else value
    label = spec.coding.table(raw.coloured).get(value)
    if label is not None and label != VOID:
        hint = f"write {label} there, the index of {spec.label_set.names[label]}"
    else:
        hint = "predict a class there" if label == VOID else "map it"
    last = len(spec.label_set) - 1
    what = f"holds {shown} ({counts[value]} pixels), but the classes are 0..{last}"
    return Finding("error", path, what, hint)


def _refusal(folder: Path, masks: int, faults: Sequence[Finding]) -> InputError:
    first = faults[0]
    if len(faults) == 1:
        return InputError(f"{first.path} {first.what}; {first.remedy}")
    told = "; ".join(f"{x.path.relative_to(folder)} {x.what}" for x in faults[:LISTED])
    more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    return InputError(
        f"{folder}: {len(faults)} of {masks} masks cannot be scored: {told}{more}; "
        f"for the first: {first.remedy}"
    )
