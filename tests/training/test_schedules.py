"""Schedules against the papers' figures, torch's own schedulers and a slow count."""

import pytest
import torch

from atrous.errors import InputError
from atrous.training.schedules import (
    SCHEDULES,
    Schedule,
    check_schedule,
    lr_factor,
    num_drops,
    validations_without_gain,
)


def curve(schedule: Schedule, steps: int, **options: float) -> list[float]:
    return [lr_factor(schedule, step, steps, options=options) for step in range(steps)]


def of_torch(make: object, steps: int) -> list[float]:
    """Return the factors of one of torch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def test_poly_has_the_values_of_the_deeplab_v2_release() -> None:
    # base 2.5e-4, 20000 iterations, power 0.9
    for step, lr in ((0, 2.5e-4), (5000, 1.9297e-4), (10_000, 1.3397e-4), (19_999, 3.365e-8)):
        found = 2.5e-4 * lr_factor("poly", step, 20_000, options={})
        assert found == pytest.approx(lr, rel=1e-3)


def test_step_drops_as_deeplab_v1_does() -> None:
    expected = of_torch(lambda o: torch.optim.lr_scheduler.StepLR(o, 2000, 0.1), 6000)
    assert curve("step", 6000) == pytest.approx(expected)


def test_step_of_a_length_that_does_not_divide_keeps_the_number_of_drops() -> None:
    assert [round(x, 4) for x in curve("step", 7, parts=3, factor=0.5)] == [
        1, 1, 1, 0.5, 0.5, 0.25, 0.25,
    ]  # fmt: skip


def test_cosine_is_torchs() -> None:
    expected = of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50), 50)
    assert curve("cosine", 50) == pytest.approx(expected, abs=1e-7)


def test_constant_stays() -> None:
    assert set(curve("constant", 9)) == {1.0}


def test_warm_up_rises_in_a_line_to_the_schedule() -> None:
    found = [lr_factor("cosine", step, 100, options={}, warmup=4) for step in range(6)]
    without = curve("cosine", 100)[:6]
    shares = [a / b for a, b in zip(found, without, strict=True)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_plateau_drops_where_torchs_does() -> None:
    scores = [0.1, 0.2, 0.15, 0.2, 0.19, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.31, 0.3]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor=0.5, patience=2, threshold=0.0, eps=0.0
    )  # torch's patience of 2 lets two pass and drops at the third
    for done, score in enumerate(scores, 1):
        scheduler.step(score)
        found = lr_factor(
            "plateau", 0, 1, options={"patience": 3, "factor": 0.5}, scores=scores[:done]
        )
        assert found == optimizer.param_groups[0]["lr"], done


def test_counts_of_validations() -> None:
    assert [num_drops([0.5] * n, 2) for n in range(1, 7)] == [0, 0, 1, 1, 2, 2]
    assert validations_without_gain([]) == 0
    assert validations_without_gain([0.3, 0.2, 0.25]) == 2
    assert validations_without_gain([0.3, 0.2, 0.35]) == 0


@pytest.mark.parametrize(
    ("schedule", "options", "told"),
    [
        ("poly", {"powr": 1.0}, "unknown option of the schedule poly 'powr'; did you mean power"),
        ("cosine", {"power": 1.0}, "unknown option of the schedule cosine 'power'"),
        ("step", {"parts": 0.0}, "parts=0 must lie at 1 or above"),
        ("step", {"factor": 2.0}, "factor=2 must lie in 0..1"),
        ("step", {"parts": 2.5}, "parts=2.5 must be a whole number"),
        ("plateau", {"patience": 1.5}, "patience=1.5 must be a whole number"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    schedule: str, options: dict[str, float], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        check_schedule(schedule, options)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_takes_its_own_options(schedule: Schedule) -> None:
    check_schedule(schedule, SCHEDULES[schedule])
    assert lr_factor(schedule, 0, 10, options={}) == 1.0
