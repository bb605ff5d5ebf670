"""In which simplex of the permutohedral lattice a pixel lies, in compiled code.

Adams et al., EG 2010, Sec. 3. A pixel's features are lifted onto the plane x . 1 = 0 of R^(d+1),
where a lattice of simplices lies; the pixel belongs to one simplex and is a weighted mean of its
d + 1 vertices. Vertex r has integer coordinates that are all r modulo d + 1.

Pixels are taken a block at a time, coordinate by coordinate, so that LLVM computes in vectors.
"""

import numpy as np

from atrous.compiling import compiled
from atrous.crf.packing import place

__all__ = [
    "BLOCK",
    "find_keys",
    "find_simplices",
    "find_weights",
    "lift",
    "order_by_rank",
    "read_points",
]

BLOCK = 32
"""Pixels in a block."""


@compiled
def read_points(
    image: np.ndarray,
    extra: np.ndarray,
    stds: np.ndarray,
    start: int,
    size: int,
    points: np.ndarray,
) -> None:
    """Write the features of consecutive pixels, divided by their deviations.

    Args:
        image: (H, W, C) uint8.
        extra: (F, H, W) float32.
        stds: (d,) float32 of x, y, channels, maps.
        start: First pixel.
        size: Pixels, at most BLOCK.
        points: (d, BLOCK) float32, written.
    """
    height, width, channels = image.shape
    i = 0
    while i < size:
        y, x, run = place(start + i, height, width)
        run = min(run, size - i)
        for k in range(run):
            points[0, i + k] = np.float32(x + k) / stds[0]
            points[1, i + k] = np.float32(y) / stds[1]
        for c in range(channels):
            for k in range(run):
                points[2 + c, i + k] = np.float32(image[y, x + k, c]) / stds[2 + c]
        for f in range(extra.shape[0]):
            for k in range(run):
                points[2 + channels + f, i + k] = extra[f, y, x + k] / stds[2 + channels + f]
        i += run


@compiled
def lift(points: np.ndarray, lifted: np.ndarray) -> None:
    """Lift points onto the plane x . 1 = 0: E of Adams et al., p. 5.

    The scale makes one step of the lattice what the blur's standard deviation asks for.

    Args:
        points: (d, BLOCK).
        lifted: (d + 1, BLOCK), written.
    """
    d = points.shape[0]
    for i in range(BLOCK):
        lifted[0, i] = 0
    for j in range(d, 0, -1):
        scale = np.float32(np.sqrt(2 / 3) * (d + 1) / np.sqrt(j * (j + 1)))
        for i in range(BLOCK):
            coordinate = points[j - 1, i] * scale
            lifted[j, i] = lifted[0, i] - np.float32(j) * coordinate
            lifted[0, i] += coordinate


@compiled
def find_simplices(
    lifted: np.ndarray, nearest: np.ndarray, residual: np.ndarray, ranks: np.ndarray
) -> None:
    """Find the simplex of each point: its vertex of remainder 0 and the order of residuals.

    Args:
        lifted: (d + 1, BLOCK).
        nearest: (d + 1, BLOCK), written: coordinates of the vertex, multiples of d + 1.
        residual: (d + 1, BLOCK), written: the point seen from there.
        ranks: (d + 1, BLOCK) int32, written: how many coordinates of the residual are larger.
    """
    corners = lifted.shape[0]
    for j in range(corners):
        for i in range(BLOCK):
            ranks[j, i] = 0
    for j in range(corners):
        for i in range(BLOCK):
            turns = np.rint(lifted[j, i] * np.float32(1 / corners))
            nearest[j, i] = turns * np.float32(corners)
            residual[j, i] = lifted[j, i] - nearest[j, i]
            ranks[0, i] += np.int32(turns)  # how far rounding took the vertex off the plane
    _rank(residual, ranks)
    for j in range(corners):  # a vertex off the plane comes back, where that costs least
        for i in range(BLOCK):
            turn = np.int32(ranks[j, i] < 0) - np.int32(ranks[j, i] >= corners)
            ranks[j, i] += turn * np.int32(corners)
            nearest[j, i] += np.float32(turn * corners)
            residual[j, i] = lifted[j, i] - nearest[j, i]


@compiled
def _rank(residual: np.ndarray, ranks: np.ndarray) -> None:
    """Add to row 0 of `ranks`, copied into every row, the order of the residuals."""
    corners = residual.shape[0]
    for j in range(1, corners):
        for i in range(BLOCK):
            ranks[j, i] = ranks[0, i]
    for j in range(corners):
        for k in range(j):
            for i in range(BLOCK):  # of equals the first ranks first
                is_smaller = np.int32(residual[k, i] < residual[j, i])
                ranks[k, i] += is_smaller
                ranks[j, i] += np.int32(1) - is_smaller


@compiled
def order_by_rank(
    residual: np.ndarray,
    ranks: np.ndarray,
    factors: np.ndarray,
    ordered: np.ndarray,
    factor_at: np.ndarray,
) -> None:
    """Write the residuals from the largest to the smallest, and each one's factor of the keys.

    Comparing every rank with every coordinate is more work than sorting, but done in vectors.

    Args:
        residual: (d + 1, BLOCK).
        ranks: (d + 1, BLOCK).
        factors: (d + 1,) int64 of the keys; the last is 0.
        ordered: (d + 1, BLOCK) float32, written.
        factor_at: (d + 1, BLOCK) int64, written.
    """
    corners = factors.size
    for r in range(corners):
        for i in range(BLOCK):
            ordered[r, i] = 0
            factor_at[r, i] = 0
        for j in range(corners):
            factor = factors[j]
            for i in range(BLOCK):
                is_here = ranks[j, i] == r
                ordered[r, i] += residual[j, i] if is_here else np.float32(0)
                factor_at[r, i] += factor if is_here else np.int64(0)


@compiled
def find_weights(ordered: np.ndarray, weights: np.ndarray) -> None:
    """Write barycentric coordinates: differences of the ordered residuals (Adams et al., p. 10).

    Args:
        ordered: (d + 1, BLOCK) residuals from the largest to the smallest.
        weights: (d + 1, BLOCK), written.
    """
    corners = ordered.shape[0]
    down = np.float32(1 / corners)
    for i in range(BLOCK):
        weights[0, i] = 1 + (ordered[corners - 1, i] - ordered[0, i]) * down
    for r in range(1, corners):
        for i in range(BLOCK):
            difference = ordered[corners - 1 - r, i] - ordered[corners - r, i]
            weights[r, i] = difference * down


@compiled
def find_keys(
    nearest: np.ndarray, factors: np.ndarray, factor_at: np.ndarray, key: np.ndarray
) -> None:
    """Write the keys of the vertices.

    From each vertex to the next all coordinates grow by 1 and one turns back by d + 1.

    Args:
        nearest: (d + 1, BLOCK).
        factors: (d + 1,) int64 of the keys; the last is 0.
        factor_at: (d + 1, BLOCK) int64 factors in the order of the residuals.
        key: (d + 1, BLOCK) int64, written.
    """
    corners = factors.size
    step = np.int64(0)
    for i in range(BLOCK):
        key[0, i] = 0
    for j in range(corners):
        step += factors[j]
        for i in range(BLOCK):
            key[0, i] += factors[j] * np.int64(np.int32(nearest[j, i]))
    for r in range(1, corners):
        for i in range(BLOCK):
            key[r, i] = key[r - 1, i] + (step - corners * factor_at[corners - r, i])
