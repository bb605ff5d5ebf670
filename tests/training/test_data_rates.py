"""Stages are timed alone: what is made slow shows in its own row."""

import time
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from atrous.data import DataSpec, Pair, open_data
from atrous.ops import Normalization
from atrous.training import Silent, TrainConfig
from atrous.training.caching import with_cache
from atrous.training.data_rates import Rate, first_pass, loader_rate, stage_rates
from atrous.training.loader import Shown, samples
from atrous.training.samples import image_tensor

PAUSE = 0.02


@pytest.fixture
def slow_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every image take 20 ms longer to decode."""
    real = DataSpec.read_image

    def read(self: DataSpec, pair: Pair) -> np.ndarray:
        time.sleep(PAUSE)
        return real(self, pair)

    monkeypatch.setattr(DataSpec, "read_image", read)


def rates(scenes: Path, cache: str) -> tuple[dict[str, Rate], float]:
    config = TrainConfig(data=scenes, cache=cache, crop=32)  # type: ignore[arg-type]
    spec = with_cache(config, open_data(scenes), device="cpu", reporter=Silent())
    source = samples(config, (32, 32), spec, Shown(Normalization.imagenet()))
    seen: list[str] = []
    found = stage_rates(
        source,
        spec,
        Normalization.imagenet(),
        batch=2,
        processes=3,
        seconds=0.1,
        device="cpu",
        step=seen.append,
    )
    assert seen == [rate.stage for rate in found]
    whole = loader_rate(source, batch=2, workers=0, seconds=0.1, device="cpu")
    return {rate.stage: rate for rate in found}, whole


@pytest.mark.usefixtures("slow_decoding")
def test_slow_decoding_shows_in_its_row_and_in_the_loader(scenes: Path) -> None:
    found, whole = rates(scenes, "none")
    assert found["decode"].per_core < 1 / PAUSE
    assert found["decode"].together == pytest.approx(3 * found["decode"].per_core)
    assert found["decode"].is_loading
    assert whole < 1 / PAUSE
    assert "cache read" not in found


@pytest.mark.usefixtures("slow_decoding")
@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_pass_decodes_and_later_ones_do_not(
    scenes: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("atrous.data.cache.pair_cache.RACY_NANOSECONDS", 0)
    config = TrainConfig(data=scenes, cache="memory", crop=32)
    spec = with_cache(config, open_data(scenes), device="cpu", reporter=Silent())
    source = samples(config, (32, 32), spec, Shown(Normalization.imagenet()))
    loading = {"batch": 4, "workers": workers, "device": "cpu"}
    rate, made = first_pass(source, seconds=60, **loading)
    assert made == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]  # ten images, each once
    assert rate < 1.5 * max(1, workers) / PAUSE  # a process may be ahead when the clock starts
    assert {source.index(number) for numbers in made for number in numbers} == set(range(10))

    def gone(self: DataSpec, pair: Pair) -> np.ndarray:
        raise AssertionError("a later pass decodes")

    monkeypatch.setattr(DataSpec, "read_image", gone)
    assert loader_rate(source, seconds=0.1, again=made, **loading) > 0


@pytest.mark.usefixtures("slow_decoding")
def test_a_first_pass_of_many_images_is_watched_in_part(scenes: Path) -> None:
    config = TrainConfig(data=scenes, cache="memory", crop=32)
    spec = with_cache(config, open_data(scenes), device="cpu", reporter=Silent())
    source = samples(config, (32, 32), spec, Shown(Normalization.imagenet()))
    _, made = first_pass(source, batch=2, workers=0, seconds=PAUSE, device="cpu")
    assert made == [[0, 1]]


@pytest.mark.usefixtures("slow_decoding")
def test_a_cache_takes_decoding_out_of_the_loader(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atrous.data.cache.pair_cache.RACY_NANOSECONDS", 0)
    found, _ = rates(scenes, "memory")
    assert found["decode"].per_core < 1 / PAUSE
    assert not found["decode"].is_loading
    assert found["cache read"].is_loading
    assert found["cache read"].per_core > found["decode"].per_core


def test_collate_is_timed_on_pixels_in_a_row_as_transforms_leave_them(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making planes of a transposed view instead takes two to seven times as long."""
    given = []

    def planes(image: np.ndarray) -> Tensor:
        given.append(image.flags.c_contiguous)
        return image_tensor(image)

    monkeypatch.setattr("atrous.training.data_rates.image_tensor", planes)
    rates(scenes, "none")
    assert given
    assert all(given)
