"""Quality against cost as plain coordinates: a dot a network, its interval, the Pareto front."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atrous.reports.chart import Tick

__all__ = ["Mark", "Placed", "Scatter", "front", "scatter"]

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 24.0, 14.0, 44.0

LETTER, ASCENT, DESCENT = 11.5, 15.0, 5.0
"""Of a name in the largest font, that on phones (`compare.css`); a wide typeface."""

GAP, DOT = 9.0, 6.5
"""From a dot's centre to its name; a dot's radius."""

SHIFTS = tuple(sign * step for step in range(0, int(HEIGHT), 4) for sign in (1, -1))
"""Of a name, down and up, the nearest first."""


@dataclass(frozen=True)
class Mark:
    """One network: `kind` is the CSS class that gives its colour."""

    name: str
    kind: str
    cost: float
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """A mark in the drawing; its name stands at (label_x, label_y), which ends there if flush."""

    name: str
    kind: str
    x: float
    y: float
    low: float
    high: float
    label_x: float
    label_y: float
    flush: bool
    title: str


@dataclass(frozen=True)
class Scatter:
    """A drawing of WIDTH x HEIGHT units; the horizontal axis is logarithmic."""

    title: str
    marks: tuple[Placed, ...]
    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def scatter(title: str, marks: Sequence[Mark]) -> Scatter:
    """Lay out marks over a logarithmic axis of costs; the front joins those that none beats."""
    axes = _Axes.around(marks)
    placed = _labelled([(mark, axes.x(mark.cost), axes.y(mark.value)) for mark in marks], axes)
    best = sorted(front(marks), key=lambda mark: mark.cost)
    path = "M" + "L".join(f"{axes.x(m.cost):.1f} {axes.y(m.value):.1f}" for m in best)
    return Scatter(
        title,
        placed,
        path if len(best) > 1 else "",
        tuple(Tick(axes.x(cost), f"{cost:g}") for cost in axes.x_ticks()),
        tuple(Tick(axes.y(value), f"{value:.2f}") for value in axes.y_ticks()),
    )


def front(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks than which no other is both better and cheaper (Pareto)."""
    return [
        mark
        for mark in marks
        if not any(
            other.cost <= mark.cost
            and other.value >= mark.value
            and (other.cost, other.value) != (mark.cost, mark.value)
            for other in marks
        )
    ]


@dataclass(frozen=True)
class _Axes:
    """From (cost, value) to the drawing."""

    least: float
    most: float
    low: float
    high: float

    @classmethod
    def around(cls, marks: Sequence[Mark]) -> "_Axes":
        """Leave some room on all sides, and span at least a factor of four in cost."""
        costs = [mark.cost for mark in marks]
        bounds = [v for m in marks for v in (*m.interval, m.value) if math.isfinite(v)]
        middle = math.sqrt(min(costs) * max(costs))
        least, most = min(min(costs) / 1.35, middle / 2), max(max(costs) * 1.35, middle * 2)
        room = max(0.02, 0.08 * (max(bounds) - min(bounds)))
        return cls(least, most, max(0.0, min(bounds) - room), min(1.0, max(bounds) + room))

    def x(self, cost: float) -> float:
        share = math.log(cost / self.least) / math.log(self.most / self.least)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def x_ticks(self) -> list[float]:
        """Return 1, 2 and 5 times powers of ten."""
        powers = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
        ticks = [m * 10.0**p for p in powers for m in (1, 2, 5)]
        return [tick for tick in ticks if self.least <= tick <= self.most]

    def y_ticks(self) -> list[float]:
        """Return three to six round values."""
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (self.high - self.low) / s <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, int(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    @property
    def is_inside(self) -> bool:
        """Whether it covers no label of the axes."""
        beside = self.left >= LEFT and self.right <= WIDTH
        return beside and self.top >= 0 and self.bottom <= HEIGHT - BOTTOM


def _labelled(found: Sequence[tuple[Mark, float, float]], axes: _Axes) -> tuple[Placed, ...]:
    """Put each name beside its dot, where it meets no other name."""
    placed: list[Placed] = []
    taken: list[_Box] = []
    dots = [_Box(x - DOT, y - DOT, x + DOT, y + DOT) for _, x, y in found]
    for mark, x, y in sorted(found, key=lambda each: each[2]):
        box, flush = _place(mark.name, x, y, taken, dots)
        taken.append(box)
        label = (box.right if flush else box.left), box.bottom - DESCENT
        low, high = (axes.y(bound) if math.isfinite(bound) else y for bound in mark.interval)
        title = f"{mark.name}: mIoU {mark.value:.3f}, {mark.cost:.3g} ms"
        placed.append(Placed(mark.name, mark.kind, x, y, low, high, *label, flush, title))
    return tuple(placed)


def _place(
    name: str, x: float, y: float, taken: Sequence[_Box], dots: Sequence[_Box]
) -> tuple[_Box, bool]:
    """Return where a name stands, and whether it ends there, on the left of its dot.

    It is the nearest one that is inside and free. If there is none, a name rather covers a dot than
    stands outside, and rather stands outside than covers a name.
    """
    length, sides = len(name) * LETTER, (x > 0.7 * WIDTH, x <= 0.7 * WIDTH)
    places = [
        (_Box(left, base - ASCENT, left + length, base + DESCENT), flush)
        for base in (y + 4 + shift for shift in SHIFTS)
        for flush in sides
        for left in [x - GAP - length if flush else x + GAP]
    ]
    inside = [place for place in places if place[0].is_inside]
    for among, others in ((inside, [*taken, *dots]), (inside, taken), (places, taken)):
        for place in among:
            if not any(place[0].meets(other) for other in others):
                return place
    return places[0]
