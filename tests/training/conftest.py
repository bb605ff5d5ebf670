"""A tiny data set and a tiny run, as files and as Python source for a process of its own."""

import shutil
from pathlib import Path

import cv2
import numpy as np
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


@pytest.fixture(scope="session")
def deep_scenes(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ten and three made scenes as a 12-bit camera delivers them: 0..4095 in 16-bit PNGs."""
    folder = tmp_path_factory.mktemp("data") / "deep"
    shutil.copytree(scenes, folder)
    for path in sorted(folder.glob("*/images/*")):
        pixels = cv2.imread(str(path))
        path.unlink()
        deep = np.rint(pixels / 255.0 * 4095).astype(np.uint16)
        deep[0, 0] = 4095
        cv2.imwrite(str(path.with_suffix(".png")), deep)
    return folder


@pytest.fixture
def tiny() -> dict[str, object]:
    """Fields of a configuration that trains in seconds."""
    return dict(TINY)
