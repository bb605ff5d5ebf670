"""Cached pairs are those that decoding gives, whatever happens to the files or to the cache."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from atrous.data import DataSpec, JointTransform, Pair, open_data
from atrous.data.cache import disk_store as disk_module
from atrous.data.cache import pair_cache
from atrous.data.cache.entry import HEADER_BYTES, pack, unpack
from atrous.data.cache.opening import cached, decoded_sizes, disk_store, memory_store
from atrous.training.samples import TrainingSamples, collate

KINDS = {"memory": lambda spec: memory_store(spec, "train"), "disk": disk_store}


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as settled that were written a moment ago."""
    monkeypatch.setattr(pair_cache, "RACY_NANOSECONDS", 0)


@pytest.fixture
def mixed(folder, make) -> Path:
    """Four training pairs: three sizes, JPEG and PNG, 8 and 16 bit, one of them grey."""
    folder.pair("a")
    folder.image("b.png", make.photo(33, 41))
    folder.mask("b", make.halves(33, 41))
    grey = make.photo(30, 22, channels=1)
    folder.image("c.png", grey)
    folder.mask("c", make.halves(30, 22))
    deep = (make.photo(24, 32).astype(np.uint16) << 8) + 3
    path = folder.image("d.png")
    cv2.imwrite(str(path), deep)
    folder.mask("d")
    folder.pair("e", split="val")
    return folder.root


@pytest.fixture
def bands(folder, make) -> Path:
    """Two TIFFs of five channels of 16 bit."""
    for name in "ab":
        path = folder.root / "train" / "images" / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = make.photo(20, 28, channels=5, seed=ord(name)).astype(np.uint16) * 257
        path.write_bytes(make.tiff(pixels))
        folder.mask(name, make.halves(20, 28))
    return folder.root


def counted(spec: DataSpec, monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Return the list to which every decoding adds its pair."""
    decoded: list[Pair] = []
    real = DataSpec._decode

    def decode(self: DataSpec, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        decoded.append(pair)
        return real(self, pair)

    monkeypatch.setattr(DataSpec, "_decode", decode)
    return decoded


def assert_equal(left: tuple[np.ndarray, ...], right: tuple[np.ndarray, ...]) -> None:
    for first, second in zip(left, right, strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["mixed", "bands"])
def test_the_second_read_decodes_nothing_and_gives_the_same(
    kind: str,
    source: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = open_data(request.getfixturevalue(source))
    fast = cached(spec, KINDS[kind](spec))
    decoded = counted(spec, monkeypatch)
    for _ in range(3):
        for pair in spec.splits["train"]:
            plain = spec.read_image(pair), spec.read_labels(pair)
            assert_equal(fast.read_pair(pair), plain)
    assert decoded == list(spec.splits["train"])


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_can_write_to_what_others_read(kind: str, mixed: Path) -> None:
    spec = open_data(mixed)
    fast = cached(spec, KINDS[kind](spec))
    pair = spec.splits["train"][0]
    fast.read_pair(pair)
    for array in fast.read_pair(pair):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("source", ["mixed", "bands"])
def test_batches_are_the_same_to_the_bit(
    kind: str, workers: int, source: str, request: pytest.FixtureRequest
) -> None:
    spec = open_data(request.getfixturevalue(source))
    transform = JointTransform((32, 32))

    def batches(data: DataSpec) -> list[list]:
        samples = TrainingSamples(data, data.splits["train"], transform, 3)
        order = [list(range(first, first + 3)) for first in range(0, 18, 3)]
        return list(
            DataLoader(samples, batch_sampler=order, num_workers=workers, collate_fn=collate)
        )

    plain, fast = batches(spec), batches(cached(spec, KINDS[kind](spec)))
    for left, right in zip(plain, fast, strict=True):
        assert_equal(tuple(x.numpy() for x in left), tuple(x.numpy() for x in right))


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_is_decoded_anew(kind: str, mixed: Path, make) -> None:
    spec = open_data(mixed)
    fast = cached(spec, KINDS[kind](spec))
    pair = next(pair for pair in spec.splits["train"] if pair.image.name == "b.png")
    before, _ = fast.read_pair(pair)
    before = before.copy()
    times = pair.image.stat()
    other = 255 - before
    pair.image.write_bytes(make.encode(other, "PNG", compress_level=0))
    size = pair.image.stat().st_size
    fast.read_pair(pair)
    # of the same size and with its time set back, as a careless copy may leave it
    pair.image.write_bytes(make.encode(before // 2, "PNG", compress_level=0))
    os.utime(pair.image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert pair.image.stat().st_size == size
    np.testing.assert_array_equal(fast.read_pair(pair)[0], before // 2)
    np.testing.assert_array_equal(fast.read_pair(pair)[0], before // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_written_this_moment_is_not_kept_yet(
    kind: str, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_cache, "RACY_NANOSECONDS", 3_600_000_000_000)
    spec = open_data(mixed)
    fast = cached(spec, KINDS[kind](spec))
    decoded = counted(spec, monkeypatch)
    pair = spec.splits["train"][0]
    for _ in range(2):
        fast.read_pair(pair)
    assert decoded == [pair, pair]


def test_the_next_run_finds_what_lies_on_the_disk(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = open_data(mixed)
    first = cached(spec, disk_store(spec))
    for pair in spec.splits["train"]:
        first.read_pair(pair)
    decoded = counted(spec, monkeypatch)
    again = open_data(mixed)
    store = disk_store(again)
    for pair in again.splits["train"]:
        cached(again, store).read_pair(pair)
    assert decoded == []
    kept = store.kept_bytes(again.splits["train"])
    assert kept == sum(decoded_sizes(again, "train").values())


def test_other_classes_have_a_cache_of_their_own(mixed: Path) -> None:
    spec = open_data(mixed)
    for pair in spec.splits["train"]:
        cached(spec, disk_store(spec)).read_pair(pair)
    (mixed / "data.yaml").write_text(
        "names: [left, right]\nlabel_map: {0: right, 1: left}\n", encoding="utf-8"
    )
    swapped = open_data(mixed)
    pair = swapped.splits["train"][0]
    labels = cached(swapped, disk_store(swapped)).read_pair(pair)[1]
    np.testing.assert_array_equal(labels, 1 - spec.read_labels(pair))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "header"])
def test_a_damaged_file_is_decoded_anew(damage: str, mixed: Path) -> None:
    spec = open_data(mixed)
    pair = spec.splits["train"][0]
    cached(spec, disk_store(spec)).read_pair(pair)
    (place,) = disk_store(spec).folder.glob("*.pair")
    content = bytearray(place.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    if damage == "header":
        content[0] ^= 1
    keep = {"cut": len(content) // 2, "empty": 0}.get(damage, len(content))
    place.write_bytes(bytes(content[:keep]))
    fast = cached(spec, disk_store(spec))
    for _ in range(2):
        assert_equal(fast.read_pair(pair), (spec.read_image(pair), spec.read_labels(pair)))


def test_a_full_disk_is_told_once_and_training_goes_on(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = open_data(mixed)
    store = disk_store(spec)

    def full(descriptor: int, mode: str) -> object:
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_module.os, "fdopen", full)
    fast = cached(spec, store)
    for pair in spec.splits["train"] * 2:
        assert_equal(fast.read_pair(pair), (spec.read_image(pair), spec.read_labels(pair)))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"cache {store.folder}: No space left on device; the rest is decoded every time"
    ]
    assert list(store.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    spec = open_data(mixed)
    pair = spec.splits["train"][0]
    assert_equal(
        cached(spec, disk_store(spec)).read_pair(pair),
        (spec.read_image(pair), spec.read_labels(pair)),
    )
    assert "the rest is decoded every time" in caplog.text


def test_abandoned_halves_are_removed_and_fresh_ones_are_not(mixed: Path) -> None:
    store = disk_store(open_data(mixed))
    store.folder.mkdir(parents=True)
    old, fresh = store.folder / "old.part", store.folder / "fresh.part"
    for part in (old, fresh):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.kept_bytes(())
    assert [path.name for path in store.folder.iterdir()] == ["fresh.part"]


def test_a_missing_file_is_told_as_without_a_cache(mixed: Path) -> None:
    spec = open_data(mixed)
    fast = cached(spec, memory_store(spec, "train"))
    pair = spec.splits["train"][0]
    fast.read_pair(pair)
    pair.image.unlink()
    with pytest.raises(Exception, match="does not exist") as told:
        fast.read_pair(pair)
    with pytest.raises(type(told.value), match="does not exist"):
        spec.read_image(pair)


def _fill(spec: DataSpec, times: int) -> None:
    for _ in range(times):
        for pair in spec.splits["train"]:
            spec.read_pair(pair)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_may_fill_it_at_once(
    kind: str, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = open_data(mixed)
    fast = cached(spec, KINDS[kind](spec))
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=_fill, args=(fast, 20)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    decoded = counted(spec, monkeypatch)
    for pair in spec.splits["train"]:
        assert_equal(fast.read_pair(pair), (spec.read_image(pair), spec.read_labels(pair)))
    assert decoded == []  # what they decoded is found here
    assert [other.exitcode for other in others] == [0, 0]


def test_spawned_loader_processes_share_the_memory(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = open_data(mixed)
    fast = cached(spec, memory_store(spec, "train"))
    time.sleep(2.1)  # in the other process the files count as settled when they are
    samples = TrainingSamples(fast, fast.splits["train"], JointTransform((16, 16)), 0)
    loader = DataLoader(
        samples,
        batch_sampler=[list(range(len(samples.pairs)))],
        num_workers=1,
        multiprocessing_context="spawn",
        collate_fn=collate,
    )
    assert len(list(loader)) == 1
    decoded = counted(spec, monkeypatch)
    for pair in spec.splits["train"]:
        assert_equal(fast.read_pair(pair), (spec.read_image(pair), spec.read_labels(pair)))
    assert decoded == []  # what the other process decoded is found here


def test_a_pair_of_another_size_than_was_scanned_is_not_kept(mixed: Path, make) -> None:
    spec = open_data(mixed)
    store = memory_store(spec, "train")
    pair = spec.splits["train"][0]
    store.keep(pair, b"k" * 16, make.photo(9, 9), make.halves(9, 9))
    assert store.find(pair, b"k" * 16) is None


def test_an_entry_is_read_under_its_own_key_alone(make: Callable) -> None:
    image, labels = make.photo(5, 7), make.halves(5, 7)
    content = np.frombuffer(pack(b"a" * 16, image, labels), np.uint8)
    assert_equal(unpack(content, b"a" * 16, is_checked=False), (image, labels))
    assert unpack(content, b"b" * 16, is_checked=True) is None
    assert unpack(content[:HEADER_BYTES], b"a" * 16, is_checked=True) is None
    assert unpack(content[:9], b"a" * 16, is_checked=True) is None
