"""Trees: broad-leaved, conifers and bare ones, in metres above the foot point."""

import math

import numpy as np

from atrous.data.scenes.canvas import CIRCLE, TREE, Canvas, Ink
from atrous.data.scenes.paints import leaf, mix

__all__ = ["paint_tree"]

_ROUND = np.linspace(0, 2 * np.pi, 30, endpoint=False)
_FORKS = np.array([((math.cos(a), -math.sin(a)), (math.sin(a), math.cos(a))) for a in (-0.7, 0.7)])


def paint_tree(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint one tree at x, z."""
    tall, kind = rng.uniform(4.5, 9.5), rng.random()
    bark = canvas.ink(TREE, mix((66, 52, 42), (122, 112, 102), rng.random()), z, 0.9)
    scale = canvas.view.scale(z)
    foot = np.array(canvas.view.foot(x, z))
    wide = rng.uniform(0.18, 0.28)
    stem = (0.68 if kind < 0.97 else 0.88) * tall
    trunk = np.array(((-wide, 0), (-0.6 * wide, -stem), (0.6 * wide, -stem), (wide, 0)))
    canvas.fill(bark, foot + trunk * scale)
    if kind < 0.76:
        _paint_crown(canvas, foot, scale, tall, z, rng)
    elif kind < 0.97:
        _paint_conifer(canvas, foot, scale, tall, z, rng)
    else:
        _paint_branches(canvas, foot, scale, tall, bark, rng)


def _paint_crown(
    canvas: Canvas, foot: np.ndarray, scale: float, tall: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a ragged crown, then clumps of leaves, dark below and bright to the sun."""
    light, colour = canvas.light, leaf(rng)
    radius = np.array((1.0, rng.uniform(0.85, 1.25))) * tall * rng.uniform(0.24, 0.34) * scale
    centre = foot - (0, tall * scale - radius[1])
    reach = 0.95 + 0.055 * rng.normal(0, 1, (30, 1)).clip(-2, 2)
    outline = np.stack([np.cos(_ROUND), np.sin(_ROUND)], -1) * reach
    canvas.fill(canvas.ink(TREE, colour, z, 0.7), centre + outline * radius)
    contrast = 1.15 - light.shadow
    clumps = rng.uniform(-0.62, 0.62, (10 if radius[0] > 8 else 5, 2))
    clumps = clumps[np.argsort(-clumps[:, 1])]
    sizes = rng.uniform(0.22, 0.4, (len(clumps), 1, 1))
    rounds = centre + radius * (clumps[:, None] + CIRCLE * sizes * (1, 0.8))
    for (across, down), clump in zip(clumps.tolist(), rounds, strict=True):
        gain = 0.92 + contrast * (0.5 * light.sun * across - 0.6 * down)
        canvas.fill(canvas.ink(TREE, colour, z, gain), clump)


def _paint_conifer(
    canvas: Canvas, foot: np.ndarray, scale: float, tall: float, z: float, rng: np.random.Generator
) -> None:
    light, width = canvas.light, rng.uniform(0.17, 0.24)
    colour = mix((34, 60, 40), (72, 92, 62), rng.random())
    for level in range(5):
        half, low, high = width * (1 - 0.17 * level), 0.14 + 0.16 * level, 0.5 + 0.16 * level
        for side in (-1, 1):
            gain = 0.62 + 0.07 * level + (0.3 * (1 - light.shadow) if side == light.sun else 0)
            triangle = np.array(((side * half, -low), (0, -min(1.0, high)), (0, -low)))
            canvas.fill(canvas.ink(TREE, colour, z, gain), foot + triangle * tall * scale)


def _paint_branches(
    canvas: Canvas,
    foot: np.ndarray,
    scale: float,
    tall: float,
    bark: Ink,
    rng: np.random.Generator,
) -> None:
    """Paint the branches of a bare tree; each forks into two twigs."""
    up = np.linspace(0.35, 0.85, 9) * tall
    lean = np.where(np.arange(9) % 2, 1, -1) * rng.uniform(0.5, 1.0, 9)
    reach = (tall - up) * rng.uniform(0.5, 0.8, 9) + 0.4
    roots = np.stack([0 * up, -up], -1)
    tips = roots + np.stack([lean * reach, -reach * rng.uniform(0.6, 1.0, 9)], -1)
    canvas.strokes(bark, foot + np.stack([roots, tips], 1) * scale, 0.24 * scale)
    middles = (roots + tips) / 2
    ends = middles + 0.5 * (tips - roots) @ _FORKS  # (2, 9, 2)
    twigs = np.stack([np.broadcast_to(middles, ends.shape), ends], 2).reshape(-1, 2, 2)
    canvas.strokes(bark, foot + twigs * scale, 0.16 * scale)
