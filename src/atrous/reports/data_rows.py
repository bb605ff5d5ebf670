"""What the data of a run hold: sizes and void of every split, and how common every class is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from atrous.data import DataSpec
from atrous.reports.class_rows import css_colour

__all__ = ["ClassPresence", "DataRow", "SplitSummary", "data_rows", "never_seen", "split_summaries"]


@dataclass(frozen=True)
class SplitSummary:
    """One split as a line: how many images, of which sizes, how much of them is void."""

    name: str
    images: int
    sizes: str
    void: float


@dataclass(frozen=True)
class ClassPresence:
    """How common a class is in one split.

    Attributes:
        share: Fraction of the split's labelled pixels; nan in a split without any.
        images_with: Images that hold at least one pixel of it.
    """

    split: str
    share: float
    images_with: int


@dataclass(frozen=True)
class DataRow:
    """One class over all splits."""

    name: str
    colour: str
    presence: tuple[ClassPresence, ...]


def split_summaries(spec: DataSpec) -> list[SplitSummary]:
    """Return a summary of every split, in the order of the data."""
    summaries = []
    for name, statistics in spec.statistics.items():
        whole = sum(statistics.pixels) + statistics.void
        void = statistics.void / whole if whole else math.nan
        summaries.append(SplitSummary(name, statistics.images, _sizes(statistics.sizes), void))
    return summaries


def data_rows(spec: DataSpec) -> list[DataRow]:
    """Return one row a class, in the order of the labels."""
    rows = []
    for k, (name, colour) in enumerate(
        zip(spec.label_set.names, spec.label_set.colours, strict=True)
    ):
        presence = []
        for split, statistics in spec.statistics.items():
            labelled = sum(statistics.pixels)
            share = statistics.pixels[k] / labelled if labelled else math.nan
            presence.append(ClassPresence(split, share, statistics.images_with[k]))
        rows.append(DataRow(name, css_colour(colour), tuple(presence)))
    return rows


def _sizes(sizes: Mapping[tuple[int, int], int]) -> str:
    """Return one size as "480x360" (width first), several as the smallest to the largest."""
    if not sizes:
        return "no sizes"
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    names = [f"{width}x{height}" for height, width in (by_area[0], by_area[-1])]
    return names[0] if len(by_area) == 1 else f"{names[0]} to {names[1]} ({len(by_area)} sizes)"


def never_seen(spec: DataSpec, split: str) -> list[str]:
    """Return the names of the classes of which `split` holds no pixel."""
    if split not in spec.statistics:
        return []
    pixels = spec.statistics[split].pixels
    return [name for name, count in zip(spec.label_set.names, pixels, strict=True) if not count]
