"""Who started this process: torchrun, SLURM's srun, or nobody but the user.

Read from the environment alone, so that a command knows whether it is the one to speak before
anything is loaded.
"""

import os
import re
from dataclasses import dataclass

__all__ = ["Launch", "find_launch"]


@dataclass(frozen=True)
class Launch:
    """The place that a launcher gave this process.

    Attributes:
        rank: Its number among all, from 0.
        world: How many there are.
        local_rank: Its number on this machine: which GPU is its own.
        address: The machine of process 0.
        port: Where process 0 listens.
    """

    rank: int
    world: int
    local_rank: int
    address: str
    port: int


def find_launch() -> Launch | None:
    """Return what the launcher says; None for a process that was started by itself.

    A script of sbatch that does without srun is such a process, however many tasks were reserved.
    """
    told = os.environ
    if "TORCHELASTIC_RUN_ID" in told:  # torchrun
        rank, world, local = (int(told[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return Launch(rank, world, local, told["MASTER_ADDR"], int(told["MASTER_PORT"]))
    if "SLURM_STEP_NUM_TASKS" in told:  # srun
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        rank, world, local = (int(told[name]) for name in names)
        address = told.get("MASTER_ADDR") or _first_host(told["SLURM_STEP_NODELIST"])
        job = int(told.get("SLURM_JOB_ID", "0"))
        port = int(told.get("MASTER_PORT") or 15_000 + job % 10_000)  # all know it, few share it
        return Launch(rank, world, local, address, port)
    return None


def _first_host(nodes: str) -> str:
    """Return the first machine of SLURM's list.

    Example:
        >>> _first_host("gpu[07-09,12],cpu1"), _first_host("gpu7,gpu8"), _first_host("a[3,5]-ib")
        ('gpu07', 'gpu7', 'a3-ib')
    """
    found = re.match(r"([^\[,]*)(?:\[([^\]]*)\]([^,]*))?", nodes)
    assert found is not None
    head, numbers, tail = found[1], found[2], found[3]
    if numbers is None:
        return head
    return head + re.split(r"[-,]", numbers)[0] + tail
