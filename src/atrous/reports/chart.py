"""Line charts as plain coordinates, which a template draws as inline SVG in the page's colours."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Chart", "Dot", "Line", "Tick", "line_chart", "nice_ticks", "sparkline", "thin"]

WIDTH, HEIGHT = 368.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 26.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve: `kind` is the CSS class that gives its colour and width."""

    kind: str
    points: tuple[Point, ...]
    path: str = ""


@dataclass(frozen=True)
class Dot:
    """One marked point with the text that shows when the pointer rests on it."""

    kind: str
    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Tick:
    """One grid line: where it lies in the drawing and what stands beside it."""

    position: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A drawing of WIDTH x HEIGHT units, ready for the template; y grows downwards."""

    title: str
    key: tuple[tuple[str, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    level: float | None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    last_step: int,
    key: Sequence[tuple[str, str]] = (),
    top: float | None = None,
    dots: Sequence[Dot] = (),
    level: float | None = None,
) -> Chart:
    """Lay out curves over the iterations 0..last_step and the values 0..top.

    Args:
        title: What the chart says, for those who hear the page instead of seeing it.
        lines: Curves as (step, value); values that are not finite are left out.
        key: What the curves are, as (kind, words).
        last_step: Right end of the horizontal axis.
        top: Upper end of the vertical axis; the largest value when it is not given.
        dots: Points to mark, in (step, value).
        level: Value of a horizontal line to compare with.
    """
    values = [y for line in lines for _, y in line.points if math.isfinite(y)]
    highest = top or max(values, default=1.0) * 1.04 or 1.0
    plot = _Plot(max(last_step, 1), highest)
    return Chart(
        title=title,
        key=tuple(key),
        x_ticks=tuple(
            Tick(plot.x(t), _count(t)) for t in nice_ticks(plot.last_step, 4) if t == int(t)
        ),
        y_ticks=tuple(Tick(plot.y(t), f"{t:g}") for t in nice_ticks(highest, 4)),
        lines=tuple(Line(x.kind, x.points, plot.path(x.points)) for x in lines),
        dots=tuple(Dot(d.kind, plot.x(d.x), plot.y(d.y), d.title) for d in dots),
        level=None if level is None else plot.y(level),
    )


def sparkline(values: Sequence[float], *, width: float = 64, height: float = 18) -> str:
    """Return the SVG path of fractions in [0, 1] at equal distances; "" for fewer than two."""
    points = [(i, value) for i, value in enumerate(values) if math.isfinite(value)]
    if len(points) < 2:
        return ""
    step = (width - 2) / max(len(values) - 1, 1)
    return _path([(1 + i * step, height - 1 - value * (height - 2)) for i, value in points])


def thin(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return at most `most` points: the means of equal stretches of the finite ones.

    Example:
        >>> thin([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], 2)
        ((0.5, 2.0), (2.5, 6.0))
    """
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if len(finite) <= most:
        return tuple(finite)
    edges = [round(i * len(finite) / most) for i in range(most + 1)]
    groups = [finite[a:b] for a, b in itertools.pairwise(edges)]
    return tuple(
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    )


def nice_ticks(highest: float, most: int) -> tuple[float, ...]:
    """Return 0 and at most `most` round multiples (1, 2, 2.5 or 5 times a power of ten) below.

    Example:
        >>> nice_ticks(600, 4)
        (0.0, 200.0, 400.0, 600.0)
    """
    power = 10.0 ** math.floor(math.log10(highest / most))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if m * power * most >= highest * 0.9999)
    return tuple(round(i * step, 12) for i in range(int(highest / step * 1.0001) + 1))


@dataclass(frozen=True)
class _Plot:
    """From (step, value) to the drawing."""

    last_step: float
    highest: float

    def x(self, step: float) -> float:
        return round(LEFT + step / self.last_step * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = min(max(value / self.highest, 0.0), 1.0)
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)

    def path(self, points: Sequence[Point]) -> str:
        return _path([(self.x(x), self.y(y)) for x, y in points if math.isfinite(y)])


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _count(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
