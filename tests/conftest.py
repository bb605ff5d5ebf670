"""What every test may lean on: two threads at most, no network, the shared data where they lie."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch and OpenCV count the cores
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that needs the network is marked so
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data sets and weights beside the repository, or a skip."""
    if not (SHARED / "data").is_dir():
        pytest.skip("../shared/data is not here: put the public data sets beside the repository")
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why."""
    for item in items:
        if "gpu" in item.keywords and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if "network" in item.keywords and os.environ["HF_HUB_OFFLINE"] == "1":
            item.add_marker(pytest.mark.skip(reason="offline: set HF_HUB_OFFLINE=0 to run it"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
