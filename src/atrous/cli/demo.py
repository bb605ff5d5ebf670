"""`atrous demo`: the whole job on made street scenes, without a download."""

from dataclasses import dataclass, field
from pathlib import Path

from atrous.cli.demo_steps import predict_only, whole
from atrous.errors import InputError
from atrous.inference.config import CRF_OPTION, CRFChoice

__all__ = ["DemoConfig", "free_folder", "run"]


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Make street scenes, train on them, score unseen ones, predict, write the report."""

    out: Path | None = None
    """Run folder; runs/demo (or -2, -3, ...) if not given."""
    predict_only: bool = False
    """Only predict, with the model that comes with atrous: seconds instead of minutes."""
    iterations: int = 700
    """Length of the training."""
    images: int = 1600
    """Scenes to train on."""
    seed: int = 0
    """Seed of the scenes and of the training."""
    crf: CRFChoice | None = field(default=None, metadata=CRF_OPTION)
    """Also sharpen with a dense CRF: a searched one, or deeplab, pydensecrf, ..."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A count below 1.
        """
        if self.iterations < 1 or self.images < 1:
            raise InputError("--iterations and --images must be at least 1")


def run(config: DemoConfig) -> int:
    """Run the demo; return the exit code."""
    folder = free_folder(config.out or Path("runs/demo"), given=config.out is not None)
    return predict_only(config, folder) if config.predict_only else whole(config, folder)


def free_folder(wanted: Path, *, given: bool) -> Path:
    """Return `wanted` if it is free, else the next number; a given name must be free.

    Raises:
        InputError: The folder was asked for by name and holds something.
    """
    if not wanted.exists() or (wanted.is_dir() and not any(wanted.iterdir())):
        return wanted
    if given:
        raise InputError(f"{wanted} is not empty; give another --out")
    number_ = 2
    while (folder := wanted.with_name(f"{wanted.name}-{number_}")).exists():
        number_ += 1
    return folder
