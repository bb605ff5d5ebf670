"""Tables made by hand, so that what is said of them can be said beforehand."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from atrous.compare.significance import LEVEL, Difference
from atrous.compare.table import Row, Table
from atrous.compare.together import Latency
from atrous.compare.weighing import Weight

MakeTable = Callable[..., Table]


def make_row(name: str, mean_iou: float, ms: float, megabytes: float, **changes: Any) -> Row:
    content: dict[str, Any] = {
        "name": name,
        "network": name,
        "encoder": None,
        "start": "random",
        "seeds": (0,),
        "by_seed": (mean_iou,),
        "mean_iou": mean_iou,
        "interval": (mean_iou - 0.02, mean_iou + 0.02),
        "spread": float("nan"),
        "boundary_f1": mean_iou - 0.1,
        "boundary_interval": (mean_iou - 0.13, mean_iou - 0.08),
        "calibration_error": 0.05,
        "calibration_interval": (0.04, 0.06),
        "iou": (mean_iou + 0.1, mean_iou - 0.1, None),
        "has_learnt": True,
        "latency": Latency(ms, 0.9 * ms, 1.1 * ms, 20),
        "weight": Weight(2_000_000, 10**9, (48, 64), int(8e6), int(megabytes * 1e6)),
        "steps": 100,
        "images_seen": 400,
        "train_seconds": 60.0,
        "other_scores": {"pixel_accuracy": 0.9},
    }
    return Row(**{**content, **changes})


@pytest.fixture
def table() -> MakeTable:
    """Return how to make a table: rows, and which pairs are not significantly different."""

    def make(rows: Sequence[Row], same: Sequence[set[str]] = (), **changes: Any) -> Table:
        ordered = sorted(rows, key=lambda row: -row.mean_iou)
        differences = tuple(
            Difference(
                a.name,
                b.name,
                a.mean_iou - b.mean_iou,
                (a.mean_iou - b.mean_iou - 0.01, a.mean_iou - b.mean_iou + 0.01),
                0.07 if {a.name, b.name} in same else 0.001,
                0.21 if {a.name, b.name} in same else LEVEL / 10,
            )
            for i, a in enumerate(ordered)
            for b in ordered[i + 1 :]
        )
        content: dict[str, Any] = {
            "rows": tuple(ordered),
            "differences": differences,
            "failed": {},
            "images": 21,
            "classes": ("road", "crack", "void-like"),
            "baseline": (0.491, "road"),
        }
        return Table(**{**content, **changes})

    return make


@pytest.fixture
def row() -> Callable[..., Row]:
    return make_row
