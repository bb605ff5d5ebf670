"""A data set as one object: its pairs, classes, faults and statistics."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.classes import decide_classes
from atrous.data.coding import MaskCoding
from atrous.data.data_yaml import NAME, read_data_yaml, refuse_remote
from atrous.data.declared_classes import Declared
from atrous.data.findings import Finding
from atrous.data.images import read_image
from atrous.data.layout import (
    WHOLE,
    Pair,
    SplitFolders,
    folder_splits,
    hold_out,
    pair_files,
    split_findings,
)
from atrous.data.masks import read_mask
from atrous.data.pair_checks import (
    channel_findings,
    common_channels,
    pair_findings,
    twin_findings,
)
from atrous.data.scan import ScannedPair, scan_pairs
from atrous.data.statistics import SplitStatistics, class_findings, count_split
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
        statistics: Name -> counts over the usable pairs.
        coding: Which raw number of a mask is which class.
        fingerprint: Hash of the usable files' bytes, their order and the classes.
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
        """Return (H, W, C) uint8 or uint16, RGB order, C = `channels`.

        Raises:
            FileError: The file has changed since the scan, or its pixels are damaged.
        """
        return read_image(pair.image, self.channels)

    def read_labels(self, pair: Pair) -> np.ndarray:
        """Return (H, W) uint8 labels, 255 = void.

        Raises:
            FileError: The file has changed since the scan.
        """
        return self.coding.labels(read_mask(pair.mask), pair.mask)


def open_data(path: Path | str, *, progress: Callable[[int, int], None] | None = None) -> DataSpec:
    """Look through a data set: every pair once, every fault listed.

    Args:
        path: A folder with <split>/images and <split>/masks, a data.yaml, or the folder of one.
        progress: Called with (pairs done, pairs in all).

    Raises:
        InputError: There is no such folder, it holds no pairs, or its data.yaml is wrong.
    """
    root, splits, declared = _locate(path)
    findings = split_findings(root, splits)
    pairs: dict[str, tuple[Pair, ...]] = {}
    for name, folders in splits.items():
        pairs[name], faults = pair_files(name, folders)
        findings += faults
    notes = []
    if WHOLE in pairs:
        pairs, note = hold_out(pairs[WHOLE])
        notes.append(note)
    scanned = scan_pairs(root, pairs, progress=progress)
    classes = decide_classes(root, declared, [p.mask.facts for p in scanned if p.readable])
    coding, label_set = classes.coding, classes.label_set
    findings += classes.findings
    for pair in scanned:
        if pair.readable and not classes.usable:
            continue  # said once for all
        findings += pair_findings(pair, coding)
    sound = _without_errors(scanned, findings) if classes.usable else []
    channels = common_channels(sound)
    findings += channel_findings(sound, channels)
    sound = _without_errors(sound, findings)
    findings += twin_findings(sound)
    by_split = {name: [pair for pair in sound if pair.split == name] for name in pairs}
    statistics = {
        name: count_split(members, coding, len(label_set)) for name, members in by_split.items()
    }
    findings += class_findings(root, label_set, statistics)
    return DataSpec(
        root=root,
        label_set=label_set,
        channels=channels,
        splits={name: tuple(p.pair for p in members) for name, members in by_split.items()},
        findings=tuple(sorted(findings, key=lambda f: (f.severity != "error", str(f.path)))),
        notes=(*notes, *classes.notes),
        statistics=statistics,
        coding=coding,
        fingerprint=_fingerprint(sound, label_set, coding),
    )


def _locate(path: Path | str) -> tuple[Path, dict[str, SplitFolders], Declared]:
    refuse_remote(str(path))
    path = Path(path)
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        return read_data_yaml(path)
    if path.is_dir():
        if (path / NAME).is_file():
            return read_data_yaml(path / NAME)
        return path, folder_splits(path), Declared()
    what = "is no folder" if path.exists() else "does not exist"
    raise InputError(f"{path} {what}; give a folder with train/images and train/masks, or a {NAME}")


def _without_errors(
    scanned: Sequence[ScannedPair], findings: Sequence[Finding]
) -> list[ScannedPair]:
    bad = {finding.path for finding in findings if finding.severity == "error"}
    return [pair for pair in scanned if not bad & {pair.image.path, pair.mask.path}]


def _fingerprint(scanned: Sequence[ScannedPair], label_set: LabelSet, coding: MaskCoding) -> str:
    """Hash what training and scores depend on; where the folder lies is no part of it."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((label_set, sorted(coding.indices.items()))).encode())
    digest.update(repr(sorted(coding.colours.items())).encode())
    for pair in scanned:
        line = f"{pair.split} {pair.image.path.name} {pair.image.digest} {pair.mask.digest}\n"
        digest.update(line.encode())
    return digest.hexdigest()
