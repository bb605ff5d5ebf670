"""A tiny data set and a tiny run, as files and as Python source for a process of its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

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


@pytest.fixture(scope="session")
def tiny() -> dict[str, object]:
    """Fields of a configuration that trains in seconds."""
    return dict(TINY)


@pytest.fixture
def assert_same_run() -> Callable[[Path, Path], None]:
    """Compare two run folders to the bit: weights, optimizer, best model, journal."""
    return _assert_same_run


def _assert_same_run(left: Path, right: Path) -> None:
    first, second = (
        torch.load(folder / "last.ckpt", weights_only=True) for folder in (left, right)
    )
    assert first["global_step"] == second["global_step"]
    assert _same(first["state_dict"], second["state_dict"])
    assert _same(first["optimizer_states"], second["optimizer_states"])
    assert _same(first["callbacks"], second["callbacks"])
    assert first["normalization"] == second["normalization"]
    assert first["scores"] == second["scores"]
    assert _journal(left) == _journal(right)
    best = [load_file(folder / "model" / "model.safetensors") for folder in (left, right)]
    assert _same(*best)


def _same(left: Any, right: Any) -> bool:
    """Compare nested states to the bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _journal(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "img_per_s"}
    return [{k: v for k, v in line.items() if k not in timed} for line in lines]
