"""The loader: a run's samples as batches, made by processes on the host or on the device."""

import dataclasses
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.utils.data import DataLoader

from atrous.data import DataSpec, JointTransform
from atrous.data.cache.resident_pairs import ResidentPairs
from atrous.data.loader_worker import prepare_worker
from atrous.data.transforms import Draw
from atrous.errors import InputError
from atrous.models import SegmentationModel
from atrous.ops import Normalization
from atrous.training.config import TrainConfig
from atrous.training.plan import Plan
from atrous.training.ranks import Ranks
from atrous.training.resident import ResidentSamples
from atrous.training.samples import BatchOrder, TrainingSamples, collate
from atrous.training.sampling import ClassBalanced, Uniform

__all__ = ["Shown", "batch_source", "batches", "file_named", "loader", "samples"]

Batches = DataLoader[tuple[Tensor, Tensor]] | DataLoader[tuple[int, Draw]]
"""A loader, by what its samples are before they are put together to images and labels."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What samples depend on of a network, where there is none."""

    normalization: Normalization
    input_scale: float = 1.0


def loader(
    config: TrainConfig,
    plan: Plan,
    spec: DataSpec,
    model: SegmentationModel,
    start: int,
    ranks: Ranks | None = None,
) -> Batches:
    """Return this process's part of the batches of the run from step `start` on."""
    rank, world = (ranks.rank, ranks.world) if ranks else (0, 1)
    order = BatchOrder(plan.batch_size, start, plan.iterations, rank=rank, world=world)
    source = batch_source(config, plan.crop, spec, model)
    return batches(source, order, workers=plan.workers, device=plan.device)


def batches(
    source: TrainingSamples | ResidentSamples,
    order: Iterable[list[int]],
    *,
    workers: int,
    device: str,
) -> Batches:
    """Return the batches of `order`, made by loader processes or on the device."""
    if isinstance(source, ResidentSamples):
        return DataLoader(source, batch_sampler=order, collate_fn=source.collate)
    return DataLoader(
        source,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=device == "cuda",
    )


def batch_source(
    config: TrainConfig, crop: tuple[int, int], spec: DataSpec, model: SegmentationModel | Shown
) -> TrainingSamples | ResidentSamples:
    """Return what makes the batches: the samples, or where the split lies on the device, that."""
    on_host = samples(config, crop, spec, model)
    if isinstance(spec.cache, ResidentPairs):
        return ResidentSamples(on_host, spec.cache)
    return on_host


def samples(
    config: TrainConfig, crop: tuple[int, int], spec: DataSpec, model: SegmentationModel | Shown
) -> TrainingSamples:
    """Return the training samples of the run, as `model` is to see them."""
    low, high = config.scale_range
    transform = JointTransform(
        crop,
        scale_range=(low * model.input_scale, high * model.input_scale),
        rotation=config.rotation,
        flip=config.flip,
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter,
        normalization=model.normalization,
        ignore_index=spec.label_set.ignore_index,
        elastic=config.elastic,
        scale_step=config.scale_step and config.scale_step * model.input_scale,
        blur=config.blur,
    )
    pairs, statistics = spec.splits["train"], spec.statistics["train"]
    sampling = (
        ClassBalanced(statistics.pairs_with, config.seed)
        if config.sampling == "class_balanced"
        else Uniform(len(pairs), config.seed)
    )
    return TrainingSamples(
        spec,
        pairs,
        transform,
        config.seed,
        sampling=sampling,
        patch_sampling=config.patch_sampling,
    )


@contextmanager
def file_named() -> Iterator[None]:
    """Give a fault found by a loader process its one line back; torch sends a whole trace."""
    try:
        yield
    except (RuntimeError, InputError) as error:
        *trace, last = str(error).strip().splitlines() or [""]
        name, _, told = last.partition(": ")
        if not trace or "in DataLoader worker process" not in trace[0]:
            raise
        if not name.startswith("atrous."):
            raise
        raise InputError(f"{told}; then go on with --resume") from error


def _start_worker(worker: int) -> None:
    """Leave Ctrl-C to the main process and the cores to the network."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_worker(worker)
