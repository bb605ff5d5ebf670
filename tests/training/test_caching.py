"""Where decoded images are kept changes how fast a run is, and nothing else."""

import dataclasses
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from atrous.data import open_data
from atrous.data.cache import opening, pair_cache
from atrous.errors import InputError
from atrous.training import Silent, TrainConfig, caching, checkpoints, fit
from atrous.training.begin import seeded_model
from atrous.training.caching import cache_memory, is_resident, with_cache
from atrous.training.loader import batch_source, loader
from atrous.training.planning import plan_run
from atrous.training.ranks import Ranks
from atrous.training.resident import resident_bytes

SameRun = Callable[[Path, Path], None]


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let files count as settled that were written a moment ago, in a cache of this test."""
    monkeypatch.setattr(pair_cache, "RACY_NANOSECONDS", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(scenes: Path, kind: str, **changes: object) -> tuple[object, list[str]]:
    reporter = Noting()
    config = TrainConfig(data=scenes, cache=kind, **changes)  # type: ignore[arg-type]
    spec = with_cache(config, open_data(scenes), device="cpu", reporter=reporter)
    return spec, reporter.notes


def test_runs_with_every_cache_end_in_the_same_bits(
    scenes: Path, tiny: dict, tmp_path: Path, assert_same_run: SameRun
) -> None:
    config = TrainConfig(data=scenes, iterations=4, workers=2, **tiny)
    for kind in ("none", "memory", "disk"):
        fit(dataclasses.replace(config, cache=kind, out=tmp_path / kind))
    assert_same_run(tmp_path / "none", tmp_path / "memory")
    assert_same_run(tmp_path / "none", tmp_path / "disk")
    assert list((tmp_path / "cache" / "atrous" / "decoded").rglob("*.pair"))


def test_unasked_they_are_kept_in_memory_where_a_quarter_of_it_is_enough(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(opening.decoded_sizes(open_data(scenes), "train").values())
    assert size == 10 * (64 + 48 * 64 * 4)
    for free, kind in ((4 * size, "memory"), (4 * size - 4, None)):
        monkeypatch.setattr(caching, "free_ram", lambda free=free: free)
        spec, notes = opened(scenes, "auto")
        assert (spec.cache.kind if spec.cache else None) == kind
        assert bool(notes) == (kind is None)
    assert notes == [
        "Cache    none: the decoded images are 0.12 MB, more than the 0.12 MB they may take of "
        "0.49 MB of free memory (--cache disk keeps them on disk); every image is decoded each "
        "time it is shown"
    ]
    assert opened(scenes, "memory")[0].cache.kind == "memory"  # who asks gets more


def test_processes_of_one_machine_share_what_is_free(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(opening.decoded_sizes(open_data(scenes), "train").values())
    monkeypatch.setattr(caching, "free_ram", lambda: 5 * size)
    config = TrainConfig(data=scenes)
    shared = with_cache(
        config, open_data(scenes), device="cpu", reporter=Silent(), ranks=Ranks(0, 2, 0, 2)
    )
    assert shared.cache is None


def test_without_shared_memory_images_are_decoded_each_time(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refused)
    spec, notes = opened(scenes, "memory")
    assert spec.cache is None
    assert "the system gives no 0.12 MB of shared memory (docker run --shm-size)" in notes[0]


def test_a_disk_without_room_is_told(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda place: usage(free=1000))
    spec, notes = opened(scenes, "disk")
    assert spec.cache is None
    assert "the decoded images are 0.12 MB and" in notes[0]
    assert "has 1 kB free" in notes[0]


def test_without_a_home_folder_that_is_told(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(opening, "user_cache", homeless)
    spec, notes = opened(scenes, "disk")
    assert spec.cache is None
    assert "there is no cache folder (Could not determine home directory.)" in notes[0]


def test_patches_are_hidden_on_the_cpu_alone(scenes: Path) -> None:
    spec, notes = opened(scenes, "device", patch_sampling=0.5)
    assert spec.cache is None
    assert "--patch-sampling hides patches on the CPU" in notes[0]


def test_a_device_without_room_is_told(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "free_memory", lambda device: 1000)
    spec, notes = opened(scenes, "device")
    assert spec.cache is None
    assert "the decoded images are 0.12 MB and cpu has 1 kB free" in notes[0]


def test_the_forecast_counts_what_the_cache_takes(
    scenes: Path, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = opening.decoded_sizes
    padding = 20_000_000  # ten images of 20 MB, so that it shows beside the libraries
    large = {pair: size + padding for pair, size in real(open_data(scenes), "train").items()}
    found = {}
    for kind in ("none", "memory"):
        monkeypatch.setattr(opening, "decoded_sizes", lambda spec, split: large)
        spec, _ = opened(scenes, kind, **tiny)
        config = TrainConfig(data=scenes, cache=kind, **{**tiny, "micro_batch": None})
        model, _ = seeded_model(config, spec, Silent())
        found[kind] = plan_run(config, spec, model, device="cpu", lr=0.1, reporter=Silent())
    more = found["memory"].memory_bytes - found["none"].memory_bytes
    assert more > 10 * padding * 0.8
    assert found["memory"].micro_batch == found["none"].micro_batch
    assert (found["none"].cache, found["memory"].cache) == ("none", "memory")


def test_a_split_on_the_device_gives_nearly_the_samples_of_the_cpu(
    scenes: Path, deep_scenes: Path
) -> None:
    for source in (scenes, deep_scenes):
        config = TrainConfig(
            data=source, weights="none", sampling="class_balanced", elastic=3.0, blur=0.3
        )
        spec = open_data(source)
        resident, _ = opened(source, "device", sampling="class_balanced")
        assert is_resident(resident)
        assert cache_memory(resident) == resident_bytes(spec)
        model, _ = seeded_model(config, spec, Silent())
        on_host, on_device = (
            batch_source(config, (48, 64), data, model) for data in (spec, resident)
        )
        images, labels = on_host.batch(range(12))
        found, found_labels = on_device.batch(range(12))
        assert found.dtype == images.dtype
        scale = 255 if images.dtype == torch.float32 else 1
        error = (found.double() - images.double()).abs() * scale
        assert error.mean() < 0.6
        assert (found_labels != labels).double().mean() < 0.01


def test_a_run_on_the_device_resumes_to_the_bit_and_only_there(
    scenes: Path,
    tiny: dict,
    tmp_path: Path,
    assert_same_run: SameRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "COST_SHARE", 1e9)  # save after every step
    config = TrainConfig(data=scenes, iterations=6, val_every=3, cache="device", **tiny)
    fit(dataclasses.replace(config, out=tmp_path / "whole"))
    run = tmp_path / "halves"

    class Stopping(Silent):
        def step(self, step: int, *, loss: float, images_per_second: float) -> None:
            if step == 4:
                raise LookupError("killed")

    with pytest.raises(LookupError):
        fit(dataclasses.replace(config, out=run), reporter=Stopping())
    with pytest.raises(InputError, match="--cache memory differs from the run's device"):
        fit(TrainConfig(resume=run, cache="memory"))
    fit(TrainConfig(resume=run))
    assert_same_run(tmp_path / "whole", run)


def test_the_loader_of_a_resident_split_starts_no_process(scenes: Path, tiny: dict) -> None:
    config = TrainConfig(data=scenes, workers=2, cache="device", **tiny)
    resident, _ = opened(scenes, "device")
    model, _ = seeded_model(config, resident, Silent())
    plan = plan_run(config, resident, model, device="cpu", lr=0.1, reporter=Silent())
    assert (plan.workers, plan.cache) == (0, "device")
    assert loader(config, plan, resident, model, 0).num_workers == 0
