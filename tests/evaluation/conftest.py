"""A small data set on disk: every mask written by the test, every image a picture of its mask."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data import DataSpec, open_data
from atrous.labels import VOID

COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)


def write_pair(root: Path, split: str, stem: str, labels: np.ndarray) -> None:
    """Write labels and an image whose colours tell the classes (void looks like class 0)."""
    for kind in ("images", "masks"):
        (root / split / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(root / split / "masks" / f"{stem}.png")
    colours = COLOURS[np.where(labels == VOID, 0, labels)]
    Image.fromarray(colours).save(root / split / "images" / f"{stem}.png")


@pytest.fixture
def one_pair(tmp_path: Path) -> Callable[[list[int]], DataSpec]:
    """Make a data set of one val pair, 32 x 64, its mask in columns of the given values."""

    def make(columns: list[int]) -> DataSpec:
        labels = np.repeat(np.array([columns], np.uint8), 64 // len(columns), axis=1)
        write_pair(tmp_path / "one", "val", "a", np.repeat(labels, 32, axis=0))
        return open_data(tmp_path / "one")

    return make


@pytest.fixture
def blocks() -> Callable[[int], np.ndarray]:
    """Make labels of three classes and void, in blocks of 8 pixels."""

    def make(seed: int, size: tuple[int, int] = (40, 56)) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = rng.choice(
            [0, 1, 2, VOID], (-(-size[0] // 8), -(-size[1] // 8)), p=[0.5, 0.2, 0.2, 0.1]
        )
        return np.kron(coarse, np.ones((8, 8))).astype(np.uint8)[: size[0], : size[1]]

    return make


@pytest.fixture
def spec(tmp_path: Path, blocks: Callable[..., np.ndarray]) -> DataSpec:
    """Open a folder of two training pairs and four validation pairs of three sizes."""
    sizes = [(40, 56), (40, 56), (32, 48), (45, 37)]
    for index in range(2):
        write_pair(tmp_path / "data", "train", f"t{index}", blocks(10 + index))
    for index, size in enumerate(sizes):
        write_pair(tmp_path / "data", "val", f"v{index}", blocks(index, size))
    return open_data(tmp_path / "data")
