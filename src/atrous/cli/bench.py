"""`atrous bench data`: images a second of each stage between the files and the network."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from atrous.cli.console import answer, progress, say
from atrous.errors import InputError
from atrous.training.config import CacheKind, TrainConfig

__all__ = ["BenchConfig", "run"]


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Measure what bounds a training here."""

    what: Literal["data"] = field(metadata={"positional": True, "metavar": "data"})
    """What to measure: data, the stages between the files and the network."""
    data: Path
    """Folder with <split>/images and <split>/masks, or a data.yaml."""
    model: str | None = None
    """Network whose training is measured too, from random weights."""
    encoder: str | None = None
    """Encoder of the network, as `atrous models` lists it."""

    cache: CacheKind = "auto"
    """Where decoded images are kept, as `atrous train` would."""
    workers: int | None = None
    """Loader processes; else by the number of cores."""
    batch_size: int = 16
    """Images per batch."""
    crop: int | tuple[int, int] | None = field(default=None, metadata={"metavar": "SIZE"})
    """Side or height,width; else the images' size, at most 512."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network would train."""
    seconds: float = 2.0
    """How long each stage is watched."""
    skip_bad: bool = False
    """Leave faulty pairs out."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0.1 <= self.seconds <= 600:
            raise InputError(f"--seconds is {self.seconds:g}, but must lie in 0.1..600")
        if self.encoder is not None and self.model is None:
            raise InputError(f"--encoder {self.encoder} needs a network: give --model as well")


def run(config: BenchConfig) -> int:
    """Print the rates and what bounds them; return 0."""
    from atrous.cli.bench_lines import data_text
    from atrous.cli.data_faults import look_through

    training = _training(config)
    spec = look_through(config.data, config.skip_bad)

    from atrous.training.data_bench import bench_data

    with progress(None, "measuring", unit="") as bar:
        result = bench_data(
            training,
            spec,
            trains=config.model is not None,
            seconds=config.seconds,
            note=say,
            step=lambda stage: bar.advance(note=stage),
        )
    answer(data_text(asdict(result)), {"data": config.data, **asdict(result)})
    return 0


def _training(config: BenchConfig) -> TrainConfig:
    """Return the training that is measured; its own checks hold."""
    fields = {"model": config.model} if config.model is not None else {}
    return TrainConfig(
        data=config.data,
        encoder=config.encoder,
        weights="none",
        cache=config.cache,
        workers=config.workers,
        batch_size=config.batch_size,
        crop=config.crop,
        device=config.device,
        skip_bad=config.skip_bad,
        **fields,  # type: ignore[arg-type]  # the network's name alone
    )
