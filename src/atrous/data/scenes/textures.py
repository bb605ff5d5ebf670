"""Noise for made scenes: leaves, asphalt, plaster, clouds and the grain of the sensor.

Noise is made once per process, as square tiles that repeat without a seam; a scene takes slices
at random offsets. That costs a hundredth of fresh noise.
"""

import functools

import cv2
import numpy as np

from atrous.data.scenes.canvas import BUILDING, CAR, PAVEMENT, PERSON, ROAD, TREE

__all__ = ["clouds", "grain", "surface"]

_SIDE = 256
_CLASSES = 9

# label: (amplitude, feature size in pixels of a 256-pixel image) of each octave
_OCTAVES = {
    BUILDING: ((5, 1), (5, 3), (6, 24)),
    ROAD: ((8, 1), (4, 2), (7, 40)),
    PAVEMENT: ((4, 1), (5, 4), (5, 30)),
    TREE: ((12, 1), (24, 2.5), (16, 6)),
    CAR: ((2, 1), (4, 16)),
    PERSON: ((4, 1), (8, 4)),
}


def surface(labels: np.ndarray, clearness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the texture of every pixel by its class; larger images get coarser features.

    Args:
        labels: Labels (H, W) uint8.
        clearness: How little haze lies before each pixel (H, W) uint8, 0..16; haze hides texture.
        rng: Draws the offset.

    Returns:
        Gains (H, W) uint8, 128 = leave the colour as it is.
    """
    height, width = labels.shape
    tiles = _surfaces(max(1, round((height + width) / 512)))
    row, column = rng.integers(0, _SIDE, 2)
    rows = (np.arange(height, dtype=np.int32) + row) % _SIDE * _SIDE
    columns = (np.arange(width, dtype=np.int32) + column) % _SIDE
    places = labels.astype(np.int32) * _SIDE**2
    places += rows[:, None] + columns
    gains = tiles.take(places)
    gains *= clearness
    gains //= 16
    gains += 128
    return gains.astype(np.uint8)


def clouds(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a random piece of sky, uint8 (H, W), 128 on average, stretched sideways."""
    row, column = rng.integers(0, _SIDE, 2)
    tile = _cloud_tile()
    rows = (np.arange(64) + row) % _SIDE
    columns = (np.arange(80) + column) % _SIDE
    height, width = size
    piece = tile[np.ix_(rows, columns)]
    stretched: np.ndarray = cv2.resize(piece, (width, height), interpolation=cv2.INTER_CUBIC)
    return stretched


def grain(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return sensor noise, uint8 (H, W, 3), mean 128, standard deviation 32."""
    tile = _grain_tile()
    row, column = rng.integers(0, _SIDE, 2)
    height, width = size
    if row + height <= 2 * _SIDE and column + width <= 2 * _SIDE:
        return tile[row : row + height, column : column + width]
    rows = (np.arange(height) + row) % _SIDE
    columns = (np.arange(width) + column) % _SIDE
    return tile[np.ix_(rows, columns)]


@functools.lru_cache(maxsize=8)
def _surfaces(zoom: int) -> np.ndarray:
    rng = np.random.default_rng(20_250_101)
    tiles = np.zeros((_CLASSES, _SIDE, _SIDE), np.int16)
    for label, octaves in _OCTAVES.items():
        total = np.zeros((_SIDE, _SIDE))
        for amplitude, feature in octaves:
            total += amplitude * _smooth_noise(rng, feature * zoom)
        tiles[label] = np.clip(np.rint(total), -128, 127)
    return tiles


@functools.lru_cache(maxsize=1)
def _cloud_tile() -> np.ndarray:
    rng = np.random.default_rng(20_250_102)
    octaves = ((50, 24), (26, 10), (14, 5), (7, 2))
    total = 128 + sum(amplitude * _smooth_noise(rng, feature) for amplitude, feature in octaves)
    tile: np.ndarray = np.clip(np.rint(total), 0, 255).astype(np.uint8)
    return tile


@functools.lru_cache(maxsize=1)
def _grain_tile() -> np.ndarray:
    rng = np.random.default_rng(20_250_103)
    shared = rng.normal(0, 24, (_SIDE, _SIDE, 1))
    noise = 128 + shared + rng.normal(0, 21, (_SIDE, _SIDE, 3))
    tile = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    return np.tile(tile, (2, 2, 1))


def _smooth_noise(rng: np.random.Generator, feature: float) -> np.ndarray:
    """Return seamless noise (side, side) of unit deviation with blobs of `feature` pixels."""
    white = rng.normal(0, 1, (_SIDE, _SIDE))
    if feature <= 1:
        return white
    frequency = np.fft.fftfreq(_SIDE)
    square = frequency[:, None] ** 2 + frequency[None, :] ** 2
    kept = np.exp(-square * (feature * 1.6) ** 2)
    smooth = np.fft.ifft2(np.fft.fft2(white) * kept).real
    noise: np.ndarray = (smooth - smooth.mean()) / smooth.std()
    return noise
