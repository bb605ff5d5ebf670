"""Checkpoints that are whole or absent, written as often as they are cheap.

`last.ckpt` is written after the first step, after the last one, and in between as soon as 50 times
the time of the last write has passed: writing takes 2 % of the time at most. So SIGKILL or a power
cut loses what was done in the last 50 write times and one step: 5 s where a write takes 0.1 s
(MobileNetV2), a few minutes where it takes some seconds (VGG-16's 1 GB). `--resume` does those
steps again, bit-equal. Ctrl-C loses nothing: it finishes the step and writes.
"""

import errno
import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import CheckpointIO

from atrous.errors import InputError
from atrous.files import write_bytes
from atrous.ops import Normalization
from atrous.training.ranks import Ranks

__all__ = ["KeepLast", "Progress", "WholeFileIO", "load_plain", "read_progress", "sweep"]

COST_SHARE = 0.02
"""Share of the time that writing checkpoints may take."""

log = logging.getLogger(__name__)


class WholeFileIO(CheckpointIO):
    """Write beside the place, fsync, rename; read tensors and plain values only.

    Lightning's own atomic save does not fsync: after a power cut the new name may point to an
    empty file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`; the earlier file stays intact if that fails."""
        buffer = io.BytesIO()  # torch.save turns a file's ENOSPC into a RuntimeError of its own
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getbuffer())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read `path`; nothing in it is ever unpickled."""
        return load_plain(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete `path` if it is there."""
        Path(path).unlink(missing_ok=True)


class KeepLast(lightning.Callback):
    """Keep `last.ckpt` up to date: after each step whose saving costs at most 2 % of the time.

    Must be the last callback: what it saves includes what the others did in that step.
    """

    def __init__(self, path: Path, ranks: Ranks | None = None) -> None:
        self.path = path
        self.ranks = ranks or Ranks()
        self.cost_seconds = 0.0
        self.saved_at = 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the last saving is long enough ago, and the last step in any case.

        Always from here, in the middle of the loader's pass: what Lightning saves at the end of
        training says that the pass is over, and there would be nothing to go on with.
        """
        is_last = trainer.should_stop or trainer.global_step >= trainer.max_steps
        is_due = time.monotonic() - self.saved_at >= self.cost_seconds / COST_SHARE
        if self.ranks.any(is_last or is_due):  # all save together, by whoever's clock is first
            self.save(trainer)

    def save(self, trainer: lightning.Trainer) -> None:
        """Write `last.ckpt` now.

        Raises:
            InputError: The disk is full or refuses; the earlier checkpoint is intact.
        """
        begin = time.monotonic()
        try:
            trainer.save_checkpoint(self.path)
        except OSError as error:
            cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
            raise InputError(
                f"{self.path}: could not be saved, {cause}; the earlier checkpoint is intact: "
                f"free some space, then atrous train --resume {self.path.parent}"
            ) from error
        self.saved_at = time.monotonic()
        self.cost_seconds = self.saved_at - begin


@dataclass(frozen=True)
class Progress:
    """How far a run has come, and what of its network does not follow from its configuration.

    Attributes:
        step: Optimizer steps done.
        normalization: What the images are normalised with: a trained model may have brought it.
        scores: Mean IoU of every validation.
        patient_since: Validations that early stopping does not count.
    """

    step: int
    normalization: Normalization
    scores: tuple[float, ...] = ()
    patient_since: int = 0


def read_progress(path: Path) -> Progress | None:
    """Return what the checkpoint at `path` says of its run, None if there is none.

    The tensors, 1 GB with VGG-16, are not read for it.

    Raises:
        InputError: The file is not such a checkpoint.
    """
    if not path.exists():
        return None
    content = load_plain(path, mmap=True)
    if "normalization" not in content:
        raise InputError(
            f"{path}: was written by another version of atrous; go on with that one, or start "
            "again with --data"
        )
    return Progress(
        int(content["global_step"]),
        Normalization.from_json(dict(content["normalization"])),
        tuple(float(score) for score in content.get("scores", ())),
        int(content.get("patient_since", 0)),
    )


def sweep(path: Path) -> None:
    """Remove what writes of `path` that were killed have left beside it."""
    for leftover in path.parent.glob(f".{path.name}.*.part"):
        leftover.unlink(missing_ok=True)


def load_plain(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values.

    Args:
        path: The file.
        mmap: Read a tensor when it is looked at, not before.

    Raises:
        InputError: The file is not such a checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises half a dozen unrelated types for a damaged file
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: is no checkpoint of a run ({reason}); start again with --data"
        ) from error
    if not isinstance(content, Mapping) or "global_step" not in content:
        raise InputError(f"{path}: is no checkpoint of a run; start again with --data")
    return dict(content)
