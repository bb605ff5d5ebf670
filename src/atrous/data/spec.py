"""A data set as one object: its pairs, classes, faults and statistics."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atrous.data.cache.pair_cache import PairCache
from atrous.data.cache.resident_pairs import ResidentPairs
from atrous.data.classes import Classes, decide_classes
from atrous.data.coding import MaskCoding
from atrous.data.data_yaml import NAME, read_data_yaml, refuse_remote
from atrous.data.declared_classes import Declared
from atrous.data.depth import depth_notes, used_white
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
from atrous.errors import InputError, closest_path
from atrous.labels import LabelSet

__all__ = ["DataSpec", "Pair", "open_data"]


@dataclass(frozen=True)
class DataSpec:
    """A data set that has been looked through.

    Attributes:
        root: Its folder.
        label_set: Names and colours of the classes.
        channels: Channels of every image as `read_image` returns it.
        white: What counts as white, as a fraction of the files' largest value: 1, or less for
            16-bit images that use fewer bits (4095 / 65535 for 12).
        splits: Name -> usable pairs; a pair with an error is not among them.
        findings: Every fault, errors first.
        notes: What was decided without being told, in words.
        statistics: Name -> counts over the usable pairs.
        coding: Which raw number of a mask is which class.
        fingerprint: Hash of the usable files' bytes, their order and the classes.
        cache: Where `read_pair` looks first; None decodes every time.
    """

    root: Path
    label_set: LabelSet
    channels: int
    white: float
    splits: Mapping[str, tuple[Pair, ...]]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    statistics: Mapping[str, SplitStatistics]
    coding: MaskCoding
    fingerprint: str
    cache: PairCache | ResidentPairs | None = field(default=None, compare=False, repr=False)

    def read_pair(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Return what `read_image` and `read_labels` do, from the cache if there is one.

        They may be views of memory that others read as well: not to be written to.

        Raises:
            FileError: As those two.
        """
        return self._decode(pair) if self.cache is None else self.cache.read(pair, self._decode)

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

    def _decode(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        return self.read_image(pair), self.read_labels(pair)


def open_data(path: Path | str, *, progress: Callable[[int, int], None] | None = None) -> DataSpec:
    """Look through a data set: every pair once, every fault listed.

    Args:
        path: A folder with <split>/images and <split>/masks or images/<split> and masks/<split>, a
            data.yaml, or the folder of one.
        progress: Called with (pairs done, pairs in all).

    Raises:
        InputError: There is no such folder, it holds no pairs, or its data.yaml is wrong.
    """
    root, folders, declared = _locate(path)
    splits, findings, notes = _paired(root, folders)
    scanned = scan_pairs(root, splits, progress=progress)
    masks = [pair.mask for pair in scanned if pair.readable]
    classes = decide_classes(
        root, declared, [mask.facts for mask in masks], [mask.path for mask in masks]
    )
    findings += classes.findings
    sound = _sound(scanned, classes, findings)
    channels = common_channels(sound)
    findings += channel_findings(sound, channels)
    sound = _without_errors(sound, findings)
    findings += twin_findings(sound)
    by_split = {name: [pair for pair in sound if pair.split == name] for name in splits}
    label_set, coding = classes.label_set, classes.coding
    statistics = {
        name: count_split(pairs, coding, len(label_set)) for name, pairs in by_split.items()
    }
    findings += class_findings(root, label_set, statistics)
    return DataSpec(
        root=root,
        label_set=label_set,
        channels=channels,
        white=used_white(sound),
        splits={name: tuple(pair.pair for pair in pairs) for name, pairs in by_split.items()},
        findings=tuple(sorted(findings, key=lambda f: (f.severity != "error", str(f.path)))),
        notes=(*notes, *classes.notes, *depth_notes(sound)),
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
    near = None if path.exists() else closest_path(path)
    question = f"did you mean {near}? " if near else ""
    raise InputError(
        f"{path} {what}; {question}give a folder with train/images and train/masks, or a {NAME}"
    )


def _paired(
    root: Path, folders: Mapping[str, SplitFolders]
) -> tuple[dict[str, tuple[Pair, ...]], list[Finding], list[str]]:
    """Match the files of every split; hold some out as val where nobody has."""
    findings = split_findings(root, folders)
    has_unread_val = any("val split" in finding.what for finding in findings)
    splits: dict[str, tuple[Pair, ...]] = {}
    for name, places in folders.items():
        splits[name], faults = pair_files(name, places)
        findings += faults
    if WHOLE in splits:
        held, note = hold_out(splits.pop(WHOLE), "train and val folders")
    elif "train" in splits and "val" not in splits and not has_unread_val:
        held, note = hold_out(splits.pop("train"), "val split")
    else:
        return splits, findings, []
    return held | splits, findings, [note] if held["val"] else []


def _sound(
    scanned: Sequence[ScannedPair], classes: Classes, findings: list[Finding]
) -> list[ScannedPair]:
    """Return the pairs without errors of their own; add those errors to `findings`."""
    for pair in scanned:
        if classes.usable or not pair.readable:  # otherwise it is said once for all masks
            findings += pair_findings(pair, classes.coding)
    return _without_errors(scanned, findings) if classes.usable else []


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
