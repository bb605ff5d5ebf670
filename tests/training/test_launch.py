"""What a process reads off its environment, as torchrun and srun set it."""

import pytest

from atrous.training.launch import Launch, find_launch

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
    "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "4", "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_JOB_ID": "1234567",
}  # fmt: skip
SBATCH = {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1234567"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*TORCHRUN, *SRUN, *SBATCH}:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, None),
        (TORCHRUN, Launch(5, 8, 1, "10.0.0.1", 29500)),
        (SRUN, Launch(4, 8, 0, "gpu07", 19567)),
        ({**SRUN, "MASTER_ADDR": "head", "MASTER_PORT": "7"}, Launch(4, 8, 0, "head", 7)),
        (SBATCH, None),  # a script without srun: one process
    ],
)
def test_the_launcher_is_recognised(
    told: dict[str, str], expected: Launch | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert find_launch() == expected
