"""Who stands where in a made street: things with their distance, and the shadows they cast."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from atrous.data.scenes.canvas import CIRCLE, NEAR, Canvas, View
from atrous.data.scenes.cars import paint_car
from atrous.data.scenes.ground import Shadow
from atrous.data.scenes.light import Light
from atrous.data.scenes.people import paint_person
from atrous.data.scenes.posts import paint_pole, paint_sign
from atrous.data.scenes.street import FAR, Street
from atrous.data.scenes.trees import paint_tree

__all__ = ["Layout", "sample_layout"]

_FOOTPRINT = np.array(((-0.95, -2.2), (0.95, -2.2), (0.95, 2.2), (-0.95, 2.2)))


@dataclass(frozen=True)
class Layout:
    """Everything that stands or moves in the street.

    Attributes:
        view: The camera, which decides what is worth placing.
        light: Sun and haze, which decide where shadows fall.
        things: Distance and painter of each thing, in no order.
        shadows: Where shadows lie on the ground.
    """

    view: View
    light: Light
    things: list[tuple[float, Callable[[Canvas, np.random.Generator], None]]] = field(
        default_factory=list
    )
    shadows: list[Shadow] = field(default_factory=list)

    def paint(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Paint all things, far ones first."""
        for _, painter in sorted(self.things, key=lambda thing: -thing[0]):
            painter(canvas, rng)

    def put(
        self, painter: Callable[..., None], x: float, z: float, tall: float, half: float
    ) -> None:
        """Place an upright thing with the shadow of a stick `tall` m high and 2 `half` m wide."""
        self.things.append((z, functools.partial(_paint_at, painter, (x, z))))
        tip_x, tip_z = x + self.light.cast[0] * tall, z + self.light.cast[1] * tall
        stick = ((x - half, z), (tip_x - half, tip_z), (tip_x + half, tip_z), (x + half, z))
        self.cast(np.array(stick))

    def put_car(self, x: float, z: float, yaw: float) -> None:
        """Place a car, its shadow and the dark below it."""
        self.things.append((z, functools.partial(_paint_at, paint_car, (x, z, yaw))))
        sine, cosine = math.sin(yaw), math.cos(yaw)
        corners = _FOOTPRINT @ np.array(((cosine, -sine), (sine, cosine))) + (x, z)
        moved = corners + np.array(self.light.cast) * 1.3
        hull = cv2.convexHull(np.concatenate([corners, moved]).astype(np.float32))
        self.cast(hull[:, 0].astype(np.float64))
        self.shadows.append(Shadow(corners, 0.6))

    def cast(self, outline: np.ndarray) -> None:
        """Add a shadow of the sun."""
        self.shadows.append(Shadow(outline, 1 - self.light.shadow))


def _paint_at(
    painter: Callable[..., None],
    place: tuple[float, ...],
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    painter(canvas, *place, rng)


def sample_layout(view: View, light: Light, street: Street, rng: np.random.Generator) -> Layout:
    """Place trees, lamps, signs, persons and cars; one street in twelve is empty of the living."""
    layout = Layout(view, light)
    lively = rng.random() > 0.08
    for side in (-1, 1):
        _cast_houses(layout, street, side)
        _plant_trees(layout, street, side, rng)
        _put_posts(layout, street, side, rng)
        if lively:
            _put_persons(layout, street, side, rng)
            _park_cars(layout, street, side, rng)
    if lively:
        _put_traffic(layout, street, rng)
    return layout


def _cast_houses(layout: Layout, street: Street, side: int) -> None:
    if layout.light.sun == side:
        front, reach = street.front(side), min(9 * abs(layout.light.cast[0]), 16)
        other = front - side * reach
        layout.cast(np.array(((front, NEAR), (front, FAR), (other, FAR), (other, NEAR))))


def _plant_trees(layout: Layout, street: Street, side: int, rng: np.random.Generator) -> None:
    if rng.random() < 0.3:
        return
    x = street.kerb(side) + side * 0.9
    z, gap = max(4.0, layout.view.entry(x)) * rng.uniform(1.0, 1.6), rng.uniform(8, 15)
    while z < 24:
        if not street.open_at(side, z, z) and rng.random() < 0.8:
            layout.put(paint_tree, x, z, 3.0, 0.16)
            crown = np.array((x, z)) + np.array(layout.light.cast) * 5.0
            layout.cast(crown + CIRCLE * (1.9, 1.9))
        z += gap


def _put_posts(layout: Layout, street: Street, side: int, rng: np.random.Generator) -> None:
    """Place lamps in a row and a few signs between them."""
    x = street.kerb(side) + side * 0.5
    near = max(4.5, layout.view.entry(x))  # closer ones would fill the image
    z, gap = near * rng.uniform(1.02, 1.25), rng.uniform(5, 10)
    while z < 1.5 * near:
        if not street.open_at(side, z, z):
            layout.put(paint_pole, x, z, 6.0, 0.1)
        z += gap
    for _ in range(rng.integers(1, 3)):
        z = near * math.exp(rng.uniform(0.05, 0.32))
        if not street.open_at(side, z, z):
            layout.put(paint_sign, x - side * 0.1, z, 2.5, 0.1)


def _put_persons(layout: Layout, street: Street, side: int, rng: np.random.Generator) -> None:
    for _ in range(rng.poisson(2.6)):
        x = street.kerb(side) + side * rng.uniform(0.8, 1.7)
        z = max(3.0, layout.view.entry(x)) * math.exp(rng.uniform(0.0, 0.36))
        layout.put(paint_person, x, z, 1.7, 0.2)
        layout.shadows.append(Shadow(np.array((x, z)) + CIRCLE * (0.3, 0.2), 0.45))
    if 0 < street.zebra[1] < 14:
        for _ in range(rng.integers(0, 3)):
            x, z = rng.uniform(street.left, street.right), rng.uniform(*street.zebra)
            layout.put(paint_person, x, z, 1.7, 0.2)


def _park_cars(layout: Layout, street: Street, side: int, rng: np.random.Generator) -> None:
    if rng.random() < 0.35:
        return
    x = street.kerb(side) - side * 1.1
    z = layout.view.entry(x) * rng.uniform(1.0, 1.5) + 2
    while z < 20:
        if not street.open_at(side, z - 3, z + 3) and rng.random() < 0.55:
            yaw = 0.0 if side > 0 or rng.random() < 0.5 else math.pi
            layout.put_car(x, z, yaw + rng.normal(0, 0.03))
        z += rng.uniform(5.5, 8)


def _put_traffic(layout: Layout, street: Street, rng: np.random.Generator) -> None:
    """Place cars that drive along the street and one that crosses it."""
    for _ in range(rng.integers(0, 4)):
        x = rng.uniform(min(street.left + 1.4, -0.1), max(street.right - 1.4, 0.1))
        z = max(7.0, layout.view.entry(x)) * math.exp(rng.uniform(0.0, 0.7))
        layout.put_car(x, z, rng.normal(0, 0.03) + (0.0 if x > -1 else math.pi))
    if street.crossing[1] and rng.random() < 0.5:
        x, z = rng.uniform(street.left, street.right), 0.5 * sum(street.crossing)
        layout.put_car(x, z + rng.uniform(-1, 1), 0.5 * math.pi * (1 if rng.random() < 0.5 else -1))
