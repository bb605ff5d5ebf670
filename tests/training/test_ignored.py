"""What does nothing for an optimizer, a network or a length is told."""

from pathlib import Path
from typing import Any

import pytest

from atrous.models import SegmentationModel, build_model
from atrous.training import Plan, TrainConfig
from atrous.training.ignored import ignored_notes


def plan(iterations: int = 1000, val_every: int = 100) -> Plan:
    return Plan(
        iterations=iterations, done=0, batch_size=4, micro_batch=4, crop=(48, 48),
        val_every=val_every, precision="fp32", device="cpu", workers=0, optimizer="sgd", lr=0.1,
        seconds=1.0, memory_bytes=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> SegmentationModel:
    """The paper's U-Net: neither an encoder of its own nor norms."""
    return build_model("unet", classes=2, options={"base_channels": 4})


@pytest.fixture(scope="module")
def normalised() -> SegmentationModel:
    return build_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=2)


GIVEN: dict[str, Any] = {
    "optimizer": "adamw", "momentum": 0.5, "freeze_encoder": 3, "lr_factors": {"encoder": 0.0},
    "norm": "frozen", "norm_momentum": 0.01, "warmup": 1000, "patience": 9,
}  # fmt: skip


def test_every_idle_option_has_a_line(plain: SegmentationModel) -> None:
    assert ignored_notes(TrainConfig(data=Path("data"), **GIVEN), plan(), plain) == [
        "Idle     --momentum 0.5: adamw has none",
        "Idle     --lr-factors encoder 0.0: the network has no encoder",
        "Idle     --freeze-encoder 3: the network has no encoder",
        "Idle     --norm frozen: the network has no batch norm",
        "Idle     --norm-momentum 0.01: the network has no batch norm",
        "Idle     --warmup 1000: 1000 iterations end before the full rate",
        "Idle     --patience 9: 10 validations are too few to stop early",
    ]


def test_what_is_of_use_has_none(plain: SegmentationModel, normalised: SegmentationModel) -> None:
    assert not ignored_notes(TrainConfig(data=Path("data")), plan(), plain)
    used = {**GIVEN, "optimizer": "sgd", "warmup": 999, "patience": 8}
    assert not ignored_notes(TrainConfig(data=Path("data"), **used), plan(), normalised)
