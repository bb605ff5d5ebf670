import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.reports.chart import Dot, Line, line_chart, nice_ticks, sparkline, thin


def coordinates(path: str) -> np.ndarray:
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), float)


def test_a_curve_is_linear_in_both_axes() -> None:
    chart = line_chart("loss", [Line("train", ((0, 0.0), (50, 1.0), (100, 2.0)))], last_step=100)

    points = coordinates(chart.lines[0].path)

    assert points[0] == pytest.approx((chart.left, chart.bottom))
    assert points[2, 0] == chart.right
    assert points[1] == pytest.approx((points[0] + points[2]) / 2, abs=0.1)
    assert points[2, 1] < points[0, 1]  # higher values stand higher


def test_ticks_lie_where_the_values_do() -> None:
    chart = line_chart("mIoU", [Line("val", ((10, 0.5),))], last_step=10, top=1.0)

    half = next(tick for tick in chart.y_ticks if tick.label == "0.5")

    assert coordinates(chart.lines[0].path)[0, 1] == half.position


def test_dots_and_the_level_use_the_same_scale() -> None:
    line = Line("val", ((10, 0.25), (20, 0.75)))
    chart = line_chart(
        "mIoU", [line], last_step=20, top=1.0, dots=[Dot("best", 20, 0.75, "")], level=0.25
    )

    first, second = coordinates(chart.lines[0].path)
    assert (chart.dots[0].x, chart.dots[0].y) == tuple(second)
    assert chart.level == first[1]


def test_values_that_are_not_finite_are_left_out() -> None:
    points = ((0, 1.0), (1, math.nan), (2, math.inf), (3, 1.0))

    chart = line_chart("loss", [Line("train", points)], last_step=3)

    assert "nan" not in chart.lines[0].path
    assert len(coordinates(chart.lines[0].path)) == 2


def test_a_loss_of_zero_and_no_points_are_drawn() -> None:
    assert line_chart("loss", [Line("train", ((0, 0.0), (1, 0.0)))], last_step=1).lines[0].path
    assert line_chart("loss", [Line("train", ())], last_step=0).lines[0].path == ""


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-6, 1e6), st.integers(2, 6))
def test_ticks_are_few_round_and_inside(highest: float, most: int) -> None:
    ticks = nice_ticks(highest, most)

    assert ticks[0] == 0
    assert 2 <= len(ticks) <= most + 1
    assert ticks[-1] <= highest * 1.001
    mantissa = ticks[1] / 10 ** math.floor(math.log10(ticks[1]) + 1e-9)
    assert any(mantissa == pytest.approx(m) for m in (1, 2, 2.5, 5))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.integers(1, 20))
def test_thinning_keeps_the_number_and_the_mean_of_equal_stretches(
    values: list[float], most: int
) -> None:
    points = list(enumerate(values))

    thinned = thin(points, most)

    assert len(thinned) == min(len(values), most)
    if len(values) % most == 0:
        assert np.mean([y for _, y in thinned]) == pytest.approx(np.mean(values))


def test_a_sparkline_goes_from_left_to_right_and_up() -> None:
    points = coordinates(sparkline([0.0, 0.5, 1.0], width=64, height=18))

    assert points[:, 0].tolist() == [1, 32, 63]
    assert points[:, 1].tolist() == [17, 9, 1]


def test_one_value_is_no_line() -> None:
    assert sparkline([0.5]) == ""
    assert sparkline([math.nan, 0.5]) == ""
