"""What cannot be meant is refused, in words that name the flag."""

from pathlib import Path

import pytest

from atrous.errors import InputError
from atrous.training import TrainConfig

DATA = Path("data")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing to train on; give --data"),
        ({"data": DATA, "iterations": 5, "minutes": 1.0}, "--iterations and --minutes exclude"),
        ({"data": DATA, "epochs": 0}, "--epochs is 0, but must be above 0"),
        (
            {"data": DATA, "minutes": float("nan")},
            "--minutes is nan, but must be above 0 and finite",
        ),
        ({"data": DATA, "lr": float("inf")}, "--lr is inf, but must be above 0 and finite"),
        (
            {"data": DATA, "auxiliary_weight": float("nan")},
            "--auxiliary-weight is nan, but must be 0 or more and finite",
        ),
        ({"data": DATA, "val_every": -1}, "--val-every is -1, but must be above 0"),
        ({"data": DATA, "batch_size": 0}, "--batch-size is 0, but must be at least 1"),
        ({"data": DATA, "workers": -1}, "--workers is -1, but must be 0 or more"),
        ({"data": DATA, "auxiliary_weight": -0.4}, "--auxiliary-weight is -0.4, but must be 0 or"),
        ({"data": DATA, "seed": -1}, "--seed is -1, but must lie in 0..4294967295"),
        ({"data": DATA, "jitter": 2.0}, "--jitter is 2.0, but must lie in 0..1"),
        ({"data": DATA, "elastic": -1.0}, "--elastic is -1.0, but must lie in 0..1000"),
        ({"data": DATA, "weight_decay": -1.0}, "--weight-decay is -1.0, but must lie in 0..1"),
        (
            {"data": DATA, "patch_sampling": 0.0},
            "--patch-sampling is 0, but must be above 0 and at most 1",
        ),
        ({"data": DATA, "patch_sampling": 1.5}, "--patch-sampling is 1.5, but must be above 0"),
        ({"data": DATA, "crop": 8}, "--crop is 8, but must be at least 16 pixels"),
        ({"data": DATA, "tile": 32}, "--tile is 32, but a window needs at least 64 pixels a side"),
        (
            {"data": DATA, "scale_range": (2.0, 0.5), "input_scale": 2.0},
            "--scale-range is 2,0.5; give the smallest and the largest zoom",
        ),
        ({"data": DATA, "scale_range": (0.0, 2.0)}, "--scale-range is 0,2; give the smallest"),
        ({"data": DATA, "crop": (64, 8)}, "but must be at least 16 pixels"),
        ({"data": DATA, "schedule_options": {"powr": 1.0}}, "unknown option of the schedule poly"),
        ({"data": DATA, "lr_factors": {"head": 2.0}}, "unknown part in --lr-factors 'head'"),
        ({"data": DATA, "lr_factors": {"encoder": -1.0}}, "encoder=-1 must lie in 0..1000"),
        ({"data": DATA, "warmup": -1}, "--warmup is -1, but must be 0 or more"),
        ({"data": DATA, "momentum": 1.0}, "--momentum is 1, but must lie in 0..0.999"),
        ({"data": DATA, "ema": 1.5}, "--ema is 1.5, but must lie in 0..0.999"),
        ({"data": DATA, "patience": 0}, "--patience is 0, but must be above 0"),
        ({"data": DATA, "clip": -1.0}, "--clip is -1.0, but must be above 0"),
        ({"data": DATA, "blur": 2.0}, "--blur is 2.0, but must lie in 0..1"),
        (
            {"data": DATA, "freeze_encoder": 5, "freeze_epochs": 1},
            "--freeze-encoder and --freeze-epochs exclude each other",
        ),
        ({"data": DATA, "extend": 5}, "--extend 5 lengthens a run; name it: --resume RUN"),
        (
            {"resume": DATA, "extend": 5, "iterations": 9},
            "--extend and --iterations exclude each other",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        TrainConfig(**fields)  # type: ignore[arg-type] - wrong on purpose


def test_one_number_is_a_square_crop() -> None:
    assert TrainConfig(data=DATA, crop=96).crop_size == (96, 96)
    assert TrainConfig(data=DATA, crop=(64, 96)).crop_size == (64, 96)
    assert TrainConfig(data=DATA).crop_size is None


def test_weight_decay_defaults_to_the_optimizers() -> None:
    assert TrainConfig(data=DATA, optimizer="adamw").decay == 0.01
    assert TrainConfig(data=DATA).decay == 1e-4
    assert TrainConfig(data=DATA, weight_decay=0.0).decay == 0.0
