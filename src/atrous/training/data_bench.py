"""What a run's data would give and its network take, measured without a run."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from atrous.data import DataSpec
from atrous.ops import Normalization
from atrous.training.begin import seeded_model
from atrous.training.caching import is_resident, with_cache
from atrous.training.config import TrainConfig
from atrous.training.data_rates import Rate, loader_rate, stage_rates
from atrous.training.loader import Shown, batch_source
from atrous.training.plan import derive_crop, pick_workers
from atrous.training.planning import training_cost
from atrous.training.preflight import pick_device, preflight
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
        loader: Images a second of all of it.
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
    loader: float
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
    fast = with_cache(config, spec, device=device, reporter=_Noting(note))
    crop = config.crop_size or derive_crop(spec)
    shown = Shown(Normalization.for_channels(spec.channels).with_white_at(spec.white))
    source = batch_source(config, crop, fast, shown)
    workers, cores = 0 if is_resident(fast) else pick_workers(config), os.cpu_count() or 1
    stages = stage_rates(
        source,
        fast,
        shown.normalization,
        batch=config.batch_size,
        processes=max(1, min(workers, cores)),
        seconds=seconds,
        device=device,
        step=step,
    )
    step("whole loader")
    loader = loader_rate(
        source, batch=config.batch_size, workers=workers, seconds=seconds, device=device
    )
    training = None
    if trains:
        step(config.model)
        model = seeded_model(config, spec, Silent())[0].to(device)
        cost = training_cost(config, fast, model, crop, device=device)
        training = 1 / cost.seconds_per_image
    return DataBench(
        images=len(spec.splits["train"]),
        crop=crop,
        batch_size=config.batch_size,
        workers=workers,
        cores=cores,
        device=device,
        cache=fast.cache.kind if fast.cache else "none",
        stages=tuple(stages),
        loader=loader,
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
