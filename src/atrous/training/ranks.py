"""The processes of a run: which one this is, and what they tell each other.

Who starts them (torchrun, SLURM's srun, Ray, a test) does not matter: `joined` finds out which of
how many this process is and opens the group that all of them talk through. A run of one process
opens nothing, and everything here gives back what it was given.

The first process alone writes files, validates and speaks.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed

from atrous.training.launch import find_launch

__all__ = ["Ranks", "joined"]

Value = TypeVar("Value")

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first one may be validating."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of the run.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        local_rank: Its number on this machine.
        local_world: How many there are on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes, validates and speaks."""
        return self.rank == 0

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.world > 1:
            x = x.clone()
            distributed.all_reduce(x)
        return x

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        if self.world == 1:
            return flag
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        return bool(self.total(torch.tensor(float(flag), device=device)) > 0)

    def all(self, value: Value) -> list[Value]:
        """Return the value of every process, in order."""
        if self.world == 1:
            return [value]
        found: list[Value | None] = [None] * self.world
        distributed.all_gather_object(found, value)
        return cast("list[Value]", found)

    def of_first(self, value: Value) -> Value:
        """Return the first process's value."""
        if self.world == 1:
            return value
        found = [value]
        distributed.broadcast_object_list(found, src=0)
        return found[0]


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the other processes of this run, if it was started as several.

    Args:
        device: "cuda" talks through NCCL, one GPU a process; "cpu" through gloo.
    """
    if distributed.is_available() and distributed.is_initialized():  # by whoever started us
        yield _ranks(distributed.get_rank(), distributed.get_world_size())
        return
    launch = find_launch()
    if launch is None or launch.world == 1:
        yield Ranks()
        return
    if device == "cuda":
        torch.cuda.set_device(launch.local_rank % torch.cuda.device_count())  # all seen, or one
    os.environ.setdefault("MASTER_ADDR", launch.address)
    os.environ.setdefault("MASTER_PORT", str(launch.port))
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        rank=launch.rank,
        world_size=launch.world,
        timeout=PATIENCE,
    )
    try:
        yield _ranks(launch.rank, launch.world)
    finally:
        distributed.destroy_process_group()


def _ranks(rank: int, world: int) -> Ranks:
    """Count the processes that share this machine."""
    hosts: list[str | None] = [None] * world
    distributed.all_gather_object(hosts, socket.gethostname())
    mine = hosts[rank]
    return Ranks(rank, world, hosts[:rank].count(mine), hosts.count(mine))
