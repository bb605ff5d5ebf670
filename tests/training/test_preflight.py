"""What is refused before any of the data is read."""

from pathlib import Path
from typing import Any

import pytest

from atrous.errors import InputError
from atrous.training import TrainConfig
from atrous.training.preflight import preflight


def test_options_of_an_adversary_need_one() -> None:
    told = "--adversary-options need an --adversary, such as small_fov"
    cases: tuple[dict[str, Any], ...] = (
        {},
        {"recipe": "unet"},
        {"recipe": "adversarial", "adversary": "none", "given": frozenset({"adversary"})},
    )
    for fields in cases:
        config = TrainConfig(data=Path("data"), adversary_options={"weight": 1}, **fields)
        with pytest.raises(InputError, match=told):
            preflight(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "dise"}, "unknown loss 'dise'; there are cross_entropy, ohem, focal"),
        ({"loss": "dice(smooth=1)"}, "loss dice has no option 'smooth'; it has none"),
        (
            {"loss": "dice + border", "patch_sampling": 0.5},
            "--patch-sampling 0.5 hides cells that the distances of --loss border are measured to; "
            "leave one of the two out",
        ),
    ],
)
def test_a_loss_that_cannot_be_meant_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        preflight(TrainConfig(data=Path("data"), **fields))  # type: ignore[arg-type]

    assert message in str(caught.value)
