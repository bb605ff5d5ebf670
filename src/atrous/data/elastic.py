"""Elastic deformation: random displacements on a coarse grid, made smooth (U-Net, Sec. 3.1).

The paper draws a displacement at each node of a 3x3 grid, every component from a normal of 10
pixels, and interpolates bicubically. Here the grid spans the crop from corner pixel to corner
pixel, and displacements are added to the pixels of the crop before the affine map leads them into
the image, so that a sample is still warped once: place = matrix @ (pixel + displacement).

Departures from the paper: pixels are those of the crop, after zoom; what comes from outside the
image is void, not mirrored.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "bent", "interpolated", "random_displacements"]

GRID = (3, 3)


def random_displacements(rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """Draw (3, 3, 2) displacements (x, y) at the nodes, each component normal of std `spread`."""
    return rng.normal(0, spread, (*GRID, 2))


def interpolated(nodes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate values at the nodes of a grid bicubically; the outer ones are corner pixels.

    Args:
        nodes: (rows, columns, C).
        size: (height, width) of the result.

    Returns:
        (height, width, C), equal to `nodes` where they lie on pixels.
    """
    down, across = (
        _cubic(count, length) for count, length in zip(nodes.shape[:2], size, strict=True)
    )
    planes = np.moveaxis(nodes.astype(np.float32), 2, 0)
    return np.stack([down @ plane @ across.T for plane in planes], axis=2)


def bent(matrix: NDArray[np.float64], displacement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where each pixel of the result lies in the image, (height, width, 2) as (x, y).

    Args:
        matrix: (2, 3), from pixels of the result to pixels of the image.
        displacement: (height, width, 2), (x, y) to add, in pixels of the image.
    """
    height, width = displacement.shape[:2]
    columns, rows = np.arange(width), np.arange(height)[:, None]
    found = displacement.copy()
    for axis in (0, 1):
        by_column, by_row, shift = matrix[axis].tolist()
        found[..., axis] += (by_column * columns + shift).astype(np.float32)
        found[..., axis] += (by_row * rows).astype(np.float32)
    return found


def _cubic(count: int, length: int) -> NDArray[np.float32]:
    """Return the (length, count) weights of cubic convolution (Keys, 1981, a = -1/2).

    Beyond the ends the outermost value goes on.
    """
    position = np.linspace(0, count - 1, length) if length > 1 else np.array([(count - 1) / 2])
    left = np.floor(position).astype(int)
    weights = np.zeros((length, count), np.float32)
    for tap in range(-1, 3):
        t = np.abs(position - (left + tap))
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        weight = np.where(t <= 1, near, np.where(t < 2, far, 0))
        np.add.at(weights, (np.arange(length), np.clip(left + tap, 0, count - 1)), weight)
    return weights
