"""The sky with its clouds and the skyline before it."""

import cv2
import numpy as np

from atrous.data.scenes.canvas import BUILDING, SKY, TREE, Canvas
from atrous.data.scenes.paints import leaf, wall
from atrous.data.scenes.street import FAR
from atrous.data.scenes.textures import clouds

__all__ = ["paint_sky"]


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the sky down to the horizon, then far houses and trees."""
    light, (height, width) = canvas.light, canvas.view.size
    rows = min(height, int(canvas.view.vanishing[1]) + 2)
    fall = (np.linspace(0, 1, rows) ** 1.3)[:, None, None]
    zenith, haze = np.array((*light.zenith, SKY)), np.array((*light.haze, SKY))
    clear = zenith + (haze - zenith) * fall  # (rows, 1, 4)
    white = 0.35 * haze + 0.65 * np.array((240, 238, 238, SKY)) * (*light.tint, 1)
    brighter = np.clip((white - clear) * (1 - 0.5 * fall), 0, 255)
    amount = np.clip((np.arange(256) - 190 + 110 * light.clouds) / 70, 0, 0.85)
    cover = cv2.LUT(clouds((rows, width), rng), np.rint(255 * amount).astype(np.uint8))
    sky = cv2.multiply(_spread(brighter, width), cv2.merge([cover] * 4), scale=1 / 255)
    canvas.pixels[:rows] = cv2.add(sky, _spread(clear, width))
    _paint_skyline(canvas, rng)


def _paint_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    scale = canvas.view.scale(FAR)
    bottom = canvas.view.vanishing[1] + 3
    column = -8.0 * scale
    while column < canvas.view.size[1]:
        wide, tall = rng.uniform(8, 26) * scale, rng.uniform(5, 22) * scale
        if rng.random() < 0.3:
            ink = canvas.ink(TREE, leaf(rng), FAR, 0.75)
            axes = wide * 0.6, min(tall, 12 * scale) * 0.8
            canvas.ellipse(ink, (column + wide / 2, bottom), axes)
        else:
            ink = canvas.ink(BUILDING, wall(rng), FAR, 0.8)
            left, right, top = column, column + wide, bottom - tall
            box = np.array(((left, top), (right, top), (right, bottom), (left, bottom)))
            canvas.fill(ink, box)
        column += wide


def _spread(column: np.ndarray, width: int) -> np.ndarray:
    """Return a column of colours (rows, 1, 4) as uint8, `width` times side by side."""
    return np.repeat(np.clip(column, 0, 255).astype(np.uint8), width, axis=1)
