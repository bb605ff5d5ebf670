"""A data set as one object: its pairs, classes, faults and statistics."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.coding import MaskCoding
from atrous.data.findings import FileFault, Finding
from atrous.data.headers import judge_header
from atrous.data.images import read_image
from atrous.data.layout import Pair, folder_splits, pair_files
from atrous.data.masks import read_mask, value_counts
from atrous.data.statistics import SplitStatistics
from atrous.errors import InputError
from atrous.labels import LabelSet

__all__ = ["DataSpec", "Pair", "open_data"]


@dataclass(frozen=True)
class DataSpec:
    """A data set that has been looked through.

    Attributes:
        root: Its folder.
        label_set: Names and colours of the classes.
        channels: Channels of every image as `read_image` returns it.
        splits: Name -> usable pairs; a pair with an error is not among them.
        findings: Every fault, errors first.
        notes: What was decided without being told, in words.
        statistics: Name -> counts.
        coding: Which raw number is which class.
        fingerprint: Hash of every file's content and of the classes.
    """

    root: Path
    label_set: LabelSet
    channels: int
    splits: Mapping[str, tuple[Pair, ...]]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    statistics: Mapping[str, SplitStatistics]
    coding: MaskCoding
    fingerprint: str

    def read_image(self, pair: Pair) -> np.ndarray:
        """Return (H, W, C) uint8 or uint16, C = `channels`."""
        return read_image(pair.image, self.channels)

    def read_labels(self, pair: Pair) -> np.ndarray:
        """Return (H, W) uint8 labels, 255 = void."""
        return self.coding.labels(read_mask(pair.mask), pair.mask)


def open_data(path: Path | str, *, progress: Callable[[int, int], None] | None = None) -> DataSpec:
    """Look through the data set at `path`."""
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"{root} does not exist")
    findings: list[Finding] = []
    splits = {}
    counts: dict[Pair, dict[int, int]] = {}
    palette = ()
    digest = hashlib.blake2b(digest_size=16)
    channels = set()
    for name, folders in folder_splits(root).items():
        pairs, faults = pair_files(folders)
        findings += faults
        good = []
        for pair in pairs:
            try:
                header = judge_header(pair.image)
                raw = read_mask(pair.mask)
            except FileFault as fault:
                findings.append(fault.finding)
                continue
            channels.add(header.channels)
            palette = palette or raw.palette
            counts[pair] = value_counts(raw.values)
            digest.update(pair.mask.read_bytes())
            good.append(pair)
        splits[name] = tuple(good)
    values = {value for found in counts.values() for value in found}
    if values == {0, 255}:
        label_set, coding = LabelSet.numbered(2), MaskCoding({0: 0, 255: 1})
    else:
        classes = max(2, max(values - {255}, default=0) + 1)
        label_set = LabelSet(LabelSet.numbered(classes).names, palette[:classes])
        coding = MaskCoding.plain(classes)
    statistics = {}
    for name, pairs in splits.items():
        pixels = [0] * 256
        with_ = [0] * 256
        for pair in pairs:
            for value, count in counts[pair].items():
                pixels[coding.indices[value]] += count
                with_[coding.indices[value]] += 1
        k = len(label_set)
        statistics[name] = SplitStatistics(
            len(pairs), tuple(pixels[:k]), pixels[255], tuple(with_[:k])
        )
    return DataSpec(
        root,
        label_set,
        max(channels),
        splits,
        tuple(findings),
        (),
        statistics,
        coding,
        digest.hexdigest(),
    )
