"""The plan of a made street in metres: lanes, pavements, side street, zebra crossing, plots."""

from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.canvas import NEAR

__all__ = ["FAR", "Plot", "Street", "sample_plots", "sample_street"]

FAR = 140.0
"""The street ends at this many metres."""


@dataclass(frozen=True)
class Street:
    """Where road, pavements and side street lie.

    Attributes:
        left: x of the left kerb.
        right: x of the right kerb.
        pavements: Widths of the left and the right pavement.
        lane: Width of a lane.
        crossing: z range of the side street; (0, 0) where there is none.
        arms: Whether the side street opens to the left and to the right.
        zebra: z range of the zebra crossing; (0, 0) where there is none.
    """

    left: float
    right: float
    pavements: tuple[float, float]
    lane: float
    crossing: tuple[float, float]
    arms: tuple[bool, bool]
    zebra: tuple[float, float]

    def kerb(self, side: int) -> float:
        """Return x of the kerb on the left (-1) or the right (1)."""
        return self.left if side < 0 else self.right

    def front(self, side: int) -> float:
        """Return x of the house fronts on the left (-1) or the right (1)."""
        return self.kerb(side) + side * self.pavements[side > 0]

    def open_at(self, side: int, start: float, end: float) -> bool:
        """Say whether the side street cuts the pavement of `side` between two z."""
        return self.arms[side > 0] and start < self.crossing[1] and end > self.crossing[0]


@dataclass(frozen=True)
class Plot:
    """One house.

    Attributes:
        start: z of its wall towards the camera.
        end: z of its other end.
        height: Height of its walls in metres.
        hidden: Up to which height the house before it hides the wall towards the camera.
        pitched: Whether it has a pitched roof.
    """

    start: float
    end: float
    height: float
    hidden: float
    pitched: bool


def sample_street(rng: np.random.Generator) -> Street:
    """Draw the plan; the camera stands on a lane or between two."""
    lane = rng.uniform(2.6, 3.2)
    lanes = int(rng.choice((1, 2, 2, 2)))
    ours = lanes * rng.uniform(0.15, 0.85)
    parking = 2.1 * (rng.random(2) < 0.25)
    left, right = -ours * lane - parking[0], (lanes - ours) * lane + parking[1]
    crossing, arms, zebra = (0.0, 0.0), (False, False), (0.0, 0.0)
    if rng.random() < 0.4:
        start = rng.uniform(11, 40)
        crossing = start, start + rng.uniform(6, 9)
        arms = ((True, True), (True, False), (False, True))[rng.integers(3)]
    if rng.random() < 0.4:
        start = crossing[0] - 4.5 if crossing[1] else rng.uniform(5, 10)
        zebra = start, start + 3.2
    pavements = rng.uniform(3.0, 5.5), rng.uniform(3.0, 5.5)
    return Street(float(left), float(right), pavements, lane, crossing, arms, zebra)


def sample_plots(street: Street, side: int, rng: np.random.Generator) -> list[Plot]:
    """Draw the houses along one side, from the camera away."""
    plots: list[Plot] = []
    tallest, z, hidden = rng.uniform(7, 23), NEAR, FAR
    while z < FAR - 45:
        end = z + rng.uniform(8, 20) * (1 + z / FAR)  # far houses are small: fewer do
        height, pitched = min(24.0, tallest * rng.uniform(0.65, 1.1)), rng.random() < 0.35
        if street.open_at(side, z, end):
            if street.crossing[0] - z > 5:
                plots.append(Plot(z, street.crossing[0] - 1.5, height, hidden, pitched))
            z, hidden = street.crossing[1] + 1.5, 0.0
            continue
        plots.append(Plot(z, end, height, hidden, pitched))
        z, hidden = end, height
        if rng.random() < 0.1:
            z, hidden = end + rng.uniform(3, 9), 0.0
    return plots
