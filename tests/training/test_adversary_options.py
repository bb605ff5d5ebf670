"""What adversarial training may be told, and whose turn a step is."""

from pathlib import Path
from typing import Any

import pytest

from atrous.errors import InputError
from atrous.training import TrainConfig
from atrous.training.adversary_options import AdversaryOptions


def slow_turns(alone: int, adversary: int, period: int, steps: int) -> list[str]:
    """Play the run step by step, with a counter and a flag."""
    turns = ["alone"] * alone + ["adversary"] * adversary
    who, left = "segmentor", period
    while len(turns) < steps:
        turns.append(who)
        left -= 1
        if not left:
            who, left = {"segmentor": "adversary", "adversary": "segmentor"}[who], period
    return turns[:steps]


@pytest.mark.parametrize("alone", [0, 3])
@pytest.mark.parametrize("adversary", [0, 2])
@pytest.mark.parametrize("period", [1, 4])
def test_turns_are_those_of_a_run_played_step_by_step(
    alone: int, adversary: int, period: int
) -> None:
    options = AdversaryOptions(
        pretrain_segmentor=alone, pretrain_adversary=adversary, period=period
    )
    found = [options.turn(step) for step in range(30)]
    assert found == slow_turns(alone, adversary, period, 30)
    for steps in range(30):
        played = slow_turns(alone, adversary, period, steps)
        assert options.own_steps(steps) == steps - played.count("adversary")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "soft"}, "unknown encoding in --adversary-options 'soft'; known: basic"),
        ({"lambda": 1}, "unknown option in --adversary-options 'lambda'"),
        ({"weight": -1.0}, r"--adversary-options weight=-1 must lie in 0..1e\+06"),
        ({"lr": 2.0}, "--adversary-options lr=2 must lie in 0..1"),
        ({"tau": 1.5}, "--adversary-options tau=1.5 must lie in 0..1"),
        ({"period": 0}, "--adversary-options period=0 must lie at 1 or above"),
        ({"pretrain_segmentor": -1}, "pretrain_segmentor=-1 must lie at 0 or above"),
        ({"period": 1.5}, "--adversary-options period=1.5: the value must be a whole number"),
        ({"period": True}, "--adversary-options period=True: the value must be a whole number"),
        ({"weight": "much"}, "--adversary-options weight=much: the value must be a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(data=Path("data"), adversary="small_fov", adversary_options=options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"adversary": "stanford", "adversary_options": {"encoding": "product"}},
            "--adversary stanford sees the image itself; give --adversary-options encoding=basic",
        ),
        (
            {"adversary": "small_fov", "patience": 3},
            "--patience counts validations without gain, and in the adversary's turns there is",
        ),
        (
            {"adversary": "small_fov", "schedule": "plateau"},
            "--schedule plateau counts validations",
        ),
        (
            {"adversary": "small_fov", "iterations": 50},
            r"50 iterations end within the 0 \+ 100 in which one network learns alone; take more, "
            "or --adversary-options pretrain_segmentor=0,pretrain_adversary=5$",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(data=Path("data"), **fields)


def test_whole_numbers_may_stand_for_fractions() -> None:
    options = AdversaryOptions.of({"weight": 1, "period": 7})
    assert (options.weight, options.period, options.tau) == (1.0, 7, 0.9)
    assert isinstance(options.weight, float)


def test_the_note_says_who_learns_when() -> None:
    options = AdversaryOptions(pretrain_segmentor=60, pretrain_adversary=5, period=2)
    assert options.note("small_fov") == (
        "Turns    60 iterations the network alone, then 5 iterations the adversary small_fov "
        "alone, then 2 each in turn; shown: scaling, weight 0.1; "
        "validations in the adversary's turns repeat the score"
    )
