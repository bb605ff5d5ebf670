"""A tiny data set and a tiny run, as files and as Python source for a process of its own."""

from pathlib import Path

import pytest

from atrous.data import write_scenes

TINY = {
    "encoder": "mobilenet_v2_035",
    "weights": "none",
    "options": {"aspp_channels": 16, "decoder_channels": 16, "skip_channels": 8},
    "batch_size": 4,
    "micro_batch": 2,
    "crop": 48,
    "lr": 0.01,
    "precision": "fp32",
    "device": "cpu",
}


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten made scenes for training, three for validation."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 10, "val": 3}, size=(48, 64), seed=7)
    return folder


@pytest.fixture(scope="session")
def wide_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four made scenes for training, two for validation, large enough to be cut."""
    folder = tmp_path_factory.mktemp("data") / "wide"
    write_scenes(folder, {"train": 4, "val": 2}, size=(96, 160), seed=7)
    return folder


@pytest.fixture
def tiny() -> dict[str, object]:
    """Fields of a configuration that trains in seconds."""
    return dict(TINY)
