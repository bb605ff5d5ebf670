"""Lightning's part in a run of several processes: its strategy, and a stop that all agree on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy

from atrous.training.ranks import Ranks

__all__ = ["StopRequest", "shared_strategy"]


def shared_strategy(ranks: Ranks, device: str, *, may_freeze: bool) -> DDPStrategy:
    """Return DDP over the processes that have joined already; it starts none itself.

    Args:
        ranks: The processes.
        device: "cpu", or "cuda": a GPU each, whether a process sees all of its machine or its own.
        may_freeze: Look for parameters without a gradient: an encoder is frozen for a while, or of
            two networks one learns.
    """
    if device == "cuda":
        seen = torch.cuda.device_count()
        devices = [torch.device("cuda", number % seen) for number in range(ranks.local_world)]
    else:
        devices = [torch.device("cpu")] * ranks.local_world
    return DDPStrategy(
        parallel_devices=devices,
        cluster_environment=_Joined(ranks),
        find_unused_parameters=may_freeze,
    )


class StopRequest(lightning.Callback):
    """Let the first Ctrl-C finish the step, in all processes alike; the second interrupts at once.

    Must be the first callback: the others look at `should_stop`.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.is_made = False
        self.trainer: lightning.Trainer | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if any process was asked to."""
        if self.ranks.any(self.is_made):
            trainer.should_stop = True

    @contextmanager
    def listening(self, trainer: lightning.Trainer) -> Iterator[None]:
        """Take Ctrl-C for a request; in a thread there is none to take."""
        self.trainer = trainer if self.ranks.world == 1 else None  # else all stop at one step
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        except _AtOnce:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, signum: int, frame: Any) -> None:
        if self.is_made:
            raise _AtOnce
        self.is_made = True
        if self.trainer is not None:
            self.trainer.should_stop = True


class _AtOnce(BaseException):
    """The second Ctrl-C, in disguise: Lightning turns a KeyboardInterrupt into exit code 1."""


class _Joined(ClusterEnvironment):
    """What Lightning asks about the processes, answered by ours."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return ""  # nobody connects again

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._ranks.world

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._ranks.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._ranks.local_rank

    def node_rank(self) -> int:
        return self._ranks.rank // self._ranks.local_world
