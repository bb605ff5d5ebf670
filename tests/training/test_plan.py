"""What was asked for, turned into numbers."""

import dataclasses
import time
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor, nn

from atrous.data import open_data
from atrous.models import build_model
from atrous.training import Silent, TrainConfig
from atrous.training import cost as cost_module
from atrous.training.begin import seeded_model
from atrous.training.cost import Cost, measure_cost, time_reading
from atrous.training.plan import default_lr, larger_than_images, make_plan, pick_precision
from atrous.training.planning import plan_run
from atrous.training.samples import TrainingSamples

COST = Cost(
    seconds_per_image=0.25,
    seconds_per_sample=0.0,
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


@pytest.mark.parametrize(
    ("device", "workers", "read", "threads", "seconds"),
    [
        ("cpu", 0, 0.5, 2, 0.25 + 0.5),  # one after the other
        ("cuda", 0, 0.5, 2, 0.25 + 0.5),
        ("cuda", 2, 0.5, 2, 0.25),  # two readers are as fast as the network
        ("cuda", 1, 0.5, 2, 0.5),
        ("cuda", 9, 4.0, 2, 1.0),  # nine readers on four cores
        ("cpu", 2, 0.5, 4, 0.25 + 0.5 / 4),  # the network fills the cores that the readers need
        ("cpu", 2, 0.5, 1, 0.25),  # it leaves them three
        ("cpu", 1, 0.5, 1, 0.5),
    ],
)
def test_what_is_slower_decides_and_cores_are_given_only_once(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    workers: int,
    read: float,
    threads: int,
    seconds: float,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    cost = dataclasses.replace(COST, seconds_per_sample=read, seconds_per_validation=0.0)
    config = TrainConfig(data=Path("data"), iterations=10, batch_size=8, workers=workers)
    made = make_plan(config, crop=(64, 96), images=100, device=device, lr=0.1, cost=cost)
    assert made.seconds == pytest.approx(10 * 8 * seconds)


def test_minutes_hold_the_reading_too(
    scenes: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TrainingSamples.__getitem__

    def slow(samples: TrainingSamples, number: int) -> tuple[Tensor, Tensor]:
        time.sleep(0.25)
        return real(samples, number)

    monkeypatch.setattr(TrainingSamples, "__getitem__", slow)
    config = TrainConfig(**tiny, data=scenes, minutes=0.5, workers=0)  # type: ignore[arg-type]
    spec = open_data(scenes)
    model, _ = seeded_model(config, spec, Silent())
    planned = plan_run(config, spec, model, device="cpu", lr=0.1, reporter=Silent())
    assert 10 < planned.iterations <= 30 / (4 * 0.25)


def test_a_crop_larger_than_every_image_is_told_with_both_sizes(
    scenes: Path, tmp_path: Path, tiny: dict[str, object]
) -> None:
    notes: list[str] = []

    class Noting(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    spec = open_data(scenes)  # images of 48 x 64
    config = TrainConfig(**{**tiny, "data": scenes, "crop": (32, 80), "iterations": 1})  # type: ignore[arg-type]
    model, _ = seeded_model(config, spec, Silent())
    plan_run(config, spec, model, device="cpu", lr=0.1, reporter=Noting())
    assert notes[0] == (
        "Crop     32x80 is larger than every training image, at most 48x64: the rest of it is "
        "void; better: --crop 32,64"
    )
    assert len(notes) == 2
    assert notes[1].startswith("Crop     32x80 makes a map of 2x5 cells")
    assert larger_than_images((48, 64), spec) is None
    assert larger_than_images((96, 128), spec, 2.0) is None
    told = larger_than_images((97, 128), spec, 2.0)
    assert told is not None
    assert "at most 96x128 at input scale 2: " in told


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
        ("refinenet_light", "mobilenet_v2", True, 0.001, 0.0001),  # no norm in the decoder
        ("refinenet", "resnet18", False, 0.001, 0.0001),
        ("pspnet", "resnet18", True, 0.02, 0.001),
        ("fcn8s", "mobilenet_v2", True, 0.02, 0.001),  # classifiers alone behind the encoder
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
        plain_sgd,
        model,
        torch.rand(2, 3, 16, 16),
        torch.zeros(2, 16, 16),
        precision="fp32",
        at_once=2,
        processes=1,
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert cost.seconds_per_image > 0
    assert cost.bytes_free > 0


def plain_sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1.0)


def test_a_step_costs_what_its_optimizer_takes_besides() -> None:
    class Slow(torch.optim.SGD):
        naps = iter([0.6, 0.05])  # the first step makes the moments

        def step(self, closure: object = None) -> None:  # type: ignore[override]  # no closure
            time.sleep(next(self.naps))

    cost = measure_cost(
        lambda model, images, labels: model(images).sum(),
        lambda model: Slow(model.parameters(), lr=1.0),
        nn.Conv2d(3, 2, 1),
        torch.rand(2, 3, 8, 8),
        torch.zeros(2, 8, 8),
        precision="fp32",
        at_once=2,
        processes=1,
    )
    assert 0.05 <= cost.seconds_per_update < 0.5
    slow = Cost(**{**COST.__dict__, "seconds_per_update": 0.5})
    with_it, without = (plan(c, iterations=100, batch_size=8).seconds for c in (slow, COST))
    assert with_it - without == pytest.approx(50)


def measured(
    *, at_once: int, per_pass: float, per_image: float, free: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, list[int]]:
    """Return the cost of an image of a network of known speed, and the images of its passes."""
    seen: list[int] = []

    def loss(trial: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert len(images) == len(labels)
        seen.append(len(images))
        time.sleep(per_pass + per_image * len(images))
        return trial(images).sum()

    monkeypatch.setattr(cost_module, "start_peak", lambda device: 1000)
    monkeypatch.setattr(cost_module, "read_peak", lambda device: 3000)  # 1000 an image
    monkeypatch.setattr(cost_module, "free_memory", lambda device: free)
    cost = measure_cost(
        loss,
        plain_sgd,
        nn.Conv2d(3, 2, 1),
        torch.rand(2, 3, 8, 8),
        torch.zeros(2, 8, 8),
        precision="fp32",
        at_once=at_once,
        processes=2,
    )
    assert cost.bytes_free == free // 2
    return cost.seconds_per_image, seen


def test_an_image_costs_what_it_costs_in_a_whole_micro_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds, seen = measured(
        at_once=16, per_pass=0.04, per_image=0.001, free=10**6, monkeypatch=monkeypatch
    )

    assert seen == [2, 2, 16, 16, 16]
    assert 0.0035 <= seconds < 0.015  # of two together 0.021


def test_no_more_images_are_measured_at_once_than_memory_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, seen = measured(
        at_once=16, per_pass=0.0, per_image=0.0, free=16_000, monkeypatch=monkeypatch
    )

    assert max(seen) == 4  # two processes have 8000 each, of which a half is for images


def test_a_slow_network_is_not_measured_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_module, "LONGEST_PASSES", 0.1)

    seconds, seen = measured(
        at_once=16, per_pass=0.0, per_image=0.02, free=10**6, monkeypatch=monkeypatch
    )

    assert seen == [2, 2]
    assert 0.02 <= seconds < 0.1


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_is_timed_with_the_threads_of_a_loader_process(workers: int) -> None:
    before, seen = cv2.getNumThreads(), []

    def read(number: int) -> None:
        seen.append((number, cv2.getNumThreads()))
        time.sleep(0.01)

    assert 0.01 <= time_reading(read, 3, workers=workers) < 0.1
    assert seen == [(n, 1 if workers else before) for n in range(3, 11)]
    assert cv2.getNumThreads() == before
