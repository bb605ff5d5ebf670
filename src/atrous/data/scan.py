"""One pass over all pairs: every file is read once, its facts found or taken from the cache."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.data.file_facts import FileFacts, image_facts, mask_facts, read_content
from atrous.data.findings import FileError
from atrous.data.layout import Pair
from atrous.data.scan_cache import load_facts, save_facts

__all__ = ["ScannedFile", "ScannedPair", "scan_pairs"]

MOST_WORKERS = 8


@dataclass(frozen=True)
class ScannedFile:
    """A file, the hash of its bytes ("" if unreadable) and its facts."""

    path: Path
    digest: str
    facts: FileFacts


@dataclass(frozen=True)
class ScannedPair:
    """A pair whose two files have been looked at."""

    split: str
    image: ScannedFile
    mask: ScannedFile

    @property
    def pair(self) -> Pair:
        """Return the two paths."""
        return Pair(self.image.path, self.mask.path)

    @property
    def readable(self) -> bool:
        """Return whether neither file has a fault of its own."""
        return self.image.facts.fault is None and self.mask.facts.fault is None


def scan_pairs(
    root: Path,
    splits: Mapping[str, Sequence[Pair]],
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> list[ScannedPair]:
    """Look at every pair; nothing that a file holds stops the scan.

    Args:
        root: The data set; its cache is used and renewed.
        splits: Name -> pairs.
        progress: Called with (pairs done, pairs in all).
        workers: Threads; None takes as many as there are cores. Decoders release the lock.
    """
    known = load_facts(root)
    jobs = [(split, pair) for split, pairs in splits.items() for pair in pairs]
    scanned: list[ScannedPair] = []
    pool = ThreadPoolExecutor(workers or min(MOST_WORKERS, os.cpu_count() or 1))
    try:
        for found in pool.map(partial(_scan_pair, known=known), jobs):
            scanned.append(found)
            if progress is not None:
                progress(len(scanned), len(jobs))
    finally:  # an interrupt does not wait for the rest
        pool.shutdown(cancel_futures=True)
    facts = {
        _key(kind, file.digest): file.facts
        for pair in scanned
        for kind, file in (("image", pair.image), ("mask", pair.mask))
        if file.digest
    }
    if facts != known:
        save_facts(root, facts)
    return scanned


def _scan_pair(job: tuple[str, Pair], known: Mapping[str, FileFacts]) -> ScannedPair:
    split, pair = job
    image = _scan_file("image", pair.image, image_facts, known)
    return ScannedPair(split, image, _scan_file("mask", pair.mask, mask_facts, known))


def _scan_file(
    kind: str,
    path: Path,
    find: Callable[[Path, bytes], FileFacts],
    known: Mapping[str, FileFacts],
) -> ScannedFile:
    try:
        content, digest = read_content(path)
    except FileError as error:
        finding = error.finding
        return ScannedFile(path, "", FileFacts(fault=(finding.what, finding.remedy)))
    facts = known.get(_key(kind, digest))
    return ScannedFile(path, digest, facts if facts is not None else find(path, content))


def _key(kind: str, digest: str) -> str:
    return f"{kind}:{digest}"
