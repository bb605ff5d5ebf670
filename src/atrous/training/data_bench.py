"""What a run's data would give and its network take, measured without a run."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from atrous.data import DataSpec
from atrous.ops import Normalization
from atrous.training.begin import seeded_model
from atrous.training.caching import is_resident, with_cache
from atrous.training.config import TrainConfig
from atrous.training.data_rates import (
    Bottleneck,
    Rate,
    bottleneck,
    first_pass,
    loader_rate,
    stage_rates,
)
from atrous.training.loader import Shown, batch_source
from atrous.training.plan import derive_crop, pick_workers
from atrous.training.planning import training_cost
from atrous.training.preflight import pick_device, preflight
from atrous.training.ranks import Ranks
from atrous.training.resident import ResidentSamples
from atrous.training.sound_data import sound
from atrous.training.watch import Silent

__all__ = ["DataBench", "bench_data"]


@dataclass(frozen=True)
class DataBench:
    """What was measured.

    Attributes:
        images: In the training split.
        crop: (height, width).
        batch_size: Images of a batch.
        workers: Loader processes.
        cores: Of this machine.
        device: "cpu" or "cuda".
        cache: Where decoded images are kept.
        stages: Images a second of each stage.
        bottleneck: The stage that takes most of a sample's time.
        loader: Images a second of all of it, once each image is in the cache, if there is one.
        first_pass: The same of the pass that fills the cache; None: there is none.
        first_pass_bottleneck: The stage that takes most of a sample's time in that one.
        model: The network, None if none was asked for.
        training: Images a second that it trains, waiting for nothing.
    """

    images: int
    crop: tuple[int, int]
    batch_size: int
    workers: int
    cores: int
    device: str
    cache: str
    stages: tuple[Rate, ...]
    bottleneck: Bottleneck
    loader: float
    first_pass: float | None
    first_pass_bottleneck: Bottleneck | None
    model: str | None
    training: float | None


def bench_data(
    config: TrainConfig,
    spec: DataSpec,
    *,
    trains: bool,
    seconds: float,
    note: Callable[[str], object],
    step: Callable[[str], object],
) -> DataBench:
    """Time the stages, the loader and, where it is wanted, the network.

    Args:
        config: The run that is meant.
        spec: Its data.
        trains: Whether the network is measured too.
        seconds: How long each stage and the loader are watched.
        note: Is told why the cache is another than was asked for.
        step: Is told of each stage as it begins.

    Raises:
        InputError: The data have faults, or options do not fit.
    """
    config = preflight(config)
    spec, device = sound(spec, config.skip_bad), pick_device(config.device)
    began = time.perf_counter()
    fast = with_cache(config, spec, device=device, reporter=_Noting(note))
    opening = time.perf_counter() - began
    crop = config.crop_size or derive_crop(spec)
    shown = Shown(Normalization.for_channels(spec.channels).with_white_at(spec.white))
    source = batch_source(config, crop, fast, shown)
    workers, cores = 0 if is_resident(fast) else pick_workers(config), os.cpu_count() or 1
    batch = config.batch_size
    first: float | None = None
    made: list[list[int]] = []
    if isinstance(source, ResidentSamples):
        first = len(source.pairs) / opening  # all of it is decoded there
    elif fast.cache is not None:
        step("first pass")
        first, made = first_pass(
            source, batch=batch, workers=workers, seconds=seconds, device=device
        )
    stages = stage_rates(
        source,
        fast,
        shown.normalization,
        batch=batch,
        processes=max(1, min(workers, cores)),
        seconds=seconds,
        device=device,
        step=step,
    )
    step("whole loader")
    loader = loader_rate(
        source, batch=batch, workers=workers, seconds=seconds, device=device, again=made
    )
    training = None
    if trains:
        step(config.model)
        model = seeded_model(config, spec, Silent())[0].to(device)
        cost = training_cost(config, fast, model, crop, device=device, ranks=Ranks())
        training = 1 / cost.seconds_per_image
    return DataBench(
        images=len(spec.splits["train"]),
        crop=crop,
        batch_size=batch,
        workers=workers,
        cores=cores,
        device=device,
        cache=fast.cache.kind if fast.cache else "none",
        stages=tuple(stages),
        bottleneck=bottleneck(stages),
        loader=loader,
        first_pass=first,
        first_pass_bottleneck=bottleneck(stages, first_pass=True) if first else None,
        model=config.model if trains else None,
        training=training,
    )


class _Noting(Silent):
    """A reporter that passes notes on and says nothing else."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        """Pass it on."""
        self._tell(text)
