"""One pass, every file read once, the facts kept under the hash of the bytes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from atrous.data import file_facts, scan
from atrous.data.layout import folder_splits, pair_files
from atrous.data.scan import scan_pairs
from atrous.data.scan_cache import cache_file, load_facts
from atrous.labels import VOID


def scanned(folder, **options):
    splits = {
        name: pair_files(name, folders)[0] for name, folders in folder_splits(folder.root).items()
    }
    return scan_pairs(folder.root, splits, **options)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The masks that had to be decoded."""
    paths: list[Path] = []

    def mask_facts(path: Path, content: bytes) -> file_facts.FileFacts:
        paths.append(path)
        return file_facts.mask_facts(path, content)

    monkeypatch.setattr(scan, "mask_facts", mask_facts)
    return paths


def test_facts_are_those_of_the_files(folder):
    folder.image("a.png", np.zeros((24, 32), np.uint16))
    folder.mask("a", np.array([[0, 0, 3], [VOID, 3, 3]], np.uint8).repeat(10, 0).repeat(10, 1))

    (pair,) = scanned(folder)

    image, mask = pair.image.facts, pair.mask.facts
    assert (image.width, image.height, image.channels, image.bits) == (32, 24, 1, 16)
    assert (mask.width, mask.height, mask.coloured) == (30, 20, False)
    assert mask.counts == {0: 200, 3: 300, VOID: 100}


def test_progress_counts_to_the_end_and_order_is_kept(small):
    calls = []

    pairs = scanned(small, progress=lambda done, total: calls.append((done, total)))

    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert [(pair.split, pair.image.path.stem) for pair in pairs] == [
        ("train", "a"),
        ("train", "b"),
        ("val", "c"),
    ]


def test_the_second_scan_decodes_nothing_and_finds_the_same(small, decoded):
    (small.root / "train/images/b.jpg").write_bytes(b"")
    first = scanned(small)
    decoded.clear()

    assert scanned(small) == first
    assert decoded == []


def test_the_cache_goes_by_content_not_by_name_or_time(small, decoded):
    small.mask("b", np.full((24, 32), 1, np.uint8))
    scanned(small)
    decoded.clear()
    path = small.root / "train/masks/a.png"
    times = path.stat()
    small.mask("a", np.full((24, 32), 5, np.uint8))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    facts = {pair.mask.path.stem: pair.mask.facts.counts for pair in scanned(small)}

    assert decoded == [path]
    assert facts["a"] == {5: 24 * 32}
    assert facts["b"] == {1: 24 * 32}


def test_the_cache_lies_where_the_user_wants_it(small, own_cache):
    scanned(small)

    (file,) = own_cache.rglob("*.json")
    assert file == cache_file(small.root)
    assert not list(own_cache.rglob("*.part"))


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": 2}',
        b'{"version": 2, "facts": {"x": 3}}',
        b'{"version": 2, "facts": {"x": {"counts": 3}}}',
        b'{"version": 1, "facts": {}}',
        b"[" * 100_000,
    ],
)
def test_a_corrupt_cache_is_ignored_and_renewed(damage, small):
    first = scanned(small)
    cache_file(small.root).write_bytes(damage)

    assert load_facts(small.root) == {}
    assert scanned(small) == first
    assert load_facts(small.root)


def test_a_cache_that_cannot_be_written_is_no_fault(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert len(scanned(small)) == 3


def test_the_cache_holds_nothing_of_the_pictures_but_numbers(small):
    scanned(small)

    content = json.loads(cache_file(small.root).read_text())

    assert set(content) == {"version", "facts"}
    assert all(key.split(":")[0] in ("image", "mask") for key in content["facts"])


def test_one_file_that_cannot_be_read_does_not_stop_the_scan(small):
    (small.root / "train/images/a.jpg").unlink()
    (small.root / "train/images/a.jpg").mkdir()

    first, *others = scanned(small)

    assert not first.readable
    assert first.image.facts.fault[0] == "is a directory, not an image"
    assert all(pair.readable for pair in others)


def test_a_photo_as_mask_is_recognised_by_its_colours(folder):
    folder.image("a")
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    folder.mask("a", noise)

    (pair,) = scanned(folder)

    assert "colours: a photo or smoothed edges" in pair.mask.facts.fault[0]
