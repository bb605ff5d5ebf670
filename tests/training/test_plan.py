"""What was asked for, turned into numbers."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from atrous.models import build_model
from atrous.training import TrainConfig
from atrous.training.plan import Cost, default_lr, make_plan, measure_cost, pick_precision

COST = Cost(
    seconds_per_image=0.25,
    seconds_per_validation=10.0,
    bytes_fixed=1_000,
    bytes_per_image=100,
    bytes_free=10_000,
)


def plan(cost: Cost = COST, done: int = 0, **fields: object):  # type: ignore[no-untyped-def]
    config = TrainConfig(data=Path("data"), **fields)  # type: ignore[arg-type]
    return make_plan(config, crop=(64, 96), images=100, device="cpu", lr=0.1, cost=cost, done=done)


def test_epochs_become_iterations_that_show_every_image() -> None:
    assert plan(epochs=3, batch_size=16).iterations == 19  # 300 images / 16 = 18.75


def test_without_a_length_forty_passes_but_at_least_five_hundred_steps() -> None:
    assert plan(batch_size=2).iterations == 2000
    assert plan(batch_size=10).iterations == 500


def test_minutes_hold_the_steps_and_the_validations() -> None:
    planned = plan(minutes=10.0, batch_size=8)
    assert planned.seconds <= 600
    assert planned.seconds > 600 - 2 * 10 - 2 * 8 * 0.25


def test_minutes_with_frequent_validation_still_hold() -> None:
    planned = plan(minutes=10.0, batch_size=8, val_every=5)
    assert 540 <= planned.seconds <= 612


def test_a_slow_validation_does_not_eat_the_minutes() -> None:
    slow = Cost(**{**COST.__dict__, "seconds_per_validation": 60.0})
    planned = plan(slow, minutes=10.0, batch_size=8)
    assert planned.iterations >= 0.6 * 600 / (8 * 0.25)  # ten validations would leave none
    assert planned.seconds <= 600


def test_a_budget_too_small_for_a_step_takes_one() -> None:
    assert plan(minutes=0.01).iterations == 1


def test_the_micro_batch_halves_until_half_of_the_free_memory_holds_it() -> None:
    assert plan(batch_size=16).micro_batch == 16
    small = Cost(**{**COST.__dict__, "bytes_free": 900})
    assert plan(small, batch_size=16).micro_batch == 4
    assert plan(small, batch_size=16, micro_batch=16).micro_batch == 16  # asked for


def test_memory_is_that_of_the_weights_and_of_one_micro_batch() -> None:
    assert plan(batch_size=16, micro_batch=4).memory_bytes == 1_000 + 4 * 100


def test_a_resumed_run_forecasts_what_is_left() -> None:
    whole, half = plan(iterations=100), plan(iterations=100, done=50)
    assert half.seconds == pytest.approx(whole.seconds / 2, rel=0.1)


def test_ten_validations_unless_asked_otherwise() -> None:
    assert plan(iterations=95).val_every == 10
    assert plan(iterations=95, val_every=30).val_every == 30


def test_precision_follows_the_request() -> None:
    assert pick_precision("fp32", "cpu") == "fp32"
    assert pick_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert pick_precision("auto", "cpu") in ("fp32", "bf16-mixed")


@pytest.mark.parametrize(
    ("network", "encoder", "pretrained", "sgd", "adamw"),
    [
        ("deeplab_v3_plus", "mobilenet_v2", True, 0.02, 0.001),
        ("deeplab_v3_plus", "mobilenet_v2", False, 0.02, 0.001),
        ("deeplab_v3_plus", "convnext_atto", True, 0.02, 0.001),  # layer norm
        ("unet", "resnet18", True, 0.02, 0.001),
        ("unet", "vgg16", True, 0.001, 0.0001),  # batch norm in the decoder only
        ("unet", None, False, 0.01, 0.0005),
        ("fcn8s", None, False, 0.01, 0.0005),
        ("fcn8s", None, True, 0.001, 0.0001),
    ],
)
def test_networks_without_normalisation_take_smaller_steps(
    network: str, encoder: str | None, pretrained: bool, sgd: float, adamw: float
) -> None:
    with torch.device("meta"):
        model = build_model(network, encoder_name=encoder)

    found = [default_lr(name, model, pretrained=pretrained) for name in ("sgd", "adamw")]
    assert found == [sgd, adamw]


def test_measuring_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return trial(images).square().mean() + labels.sum() * 0

    cost = measure_cost(
        loss,
        model,
        torch.rand(2, 3, 16, 16),
        torch.zeros(2, 16, 16),
        precision="fp32",
        validate_one=lambda: None,
        num_validation=4,
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert cost.seconds_per_image > 0
    assert cost.bytes_free > 0
