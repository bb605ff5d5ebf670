"""Quality against cost as plain coordinates: a dot a network, its interval, the Pareto front."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atrous.reports.chart import Tick

__all__ = ["Mark", "Placed", "Scatter", "front", "scatter"]

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 24.0, 14.0, 44.0
LABEL_HEIGHT = 15.0


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


def _labelled(found: Sequence[tuple[Mark, float, float]], axes: _Axes) -> tuple[Placed, ...]:
    """Put each name beside its dot, on the left of dots far right, moved where two would meet."""
    placed: list[Placed] = []
    for mark, x, y in sorted(found, key=lambda each: each[2]):
        flush = x > 0.7 * WIDTH
        label_x, label_y = (x - 9 if flush else x + 9), y + 4
        taken = [p.label_y for p in placed if p.flush == flush and abs(p.label_x - label_x) < 150]
        while any(abs(label_y - other) < LABEL_HEIGHT for other in taken):
            label_y += 4
        low, high = (axes.y(bound) if math.isfinite(bound) else y for bound in mark.interval)
        title = f"{mark.name}: mIoU {mark.value:.3f}, {mark.cost:.3g} ms"
        placed.append(Placed(mark.name, mark.kind, x, y, low, high, label_x, label_y, flush, title))
    return tuple(placed)
