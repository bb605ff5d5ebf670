"""What batch norm does under each policy, by what a step changes."""

import pytest
import torch
from torch import nn

from atrous.models import SegmentationModel, build_model
from atrous.training.config import NormPolicy
from atrous.training.norm import hold_norms, pick_norm


def network() -> SegmentationModel:
    torch.manual_seed(0)
    options = {"aspp_channels": 8, "decoder_channels": 8, "skip_channels": 4}
    model = build_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=3, options=options
    )
    return model.train()


def changed(policy: NormPolicy) -> dict[str, set[str]]:
    """Take a step; return which kinds of tensors of norms have changed, by part."""
    model = network()
    held = hold_norms(model, policy, None)
    for norm in held:
        norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1e4)
    model(torch.randn(4, 3, 48, 48)).square().sum().backward()
    optimizer.step()
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    found: dict[str, set[str]] = {"encoder": set(), "decoder": set()}
    for name, value in model.state_dict().items():
        owner, _, kind = name.rpartition(".")
        if owner in norms and not torch.equal(value, before[name]):
            found["encoder" if name.startswith("encoder.") else "decoder"].add(kind)
    return found


AFFINE = {"weight", "bias"}
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize(
    ("policy", "encoder", "decoder"),
    [
        ("train", AFFINE | STATISTICS, AFFINE | STATISTICS),
        ("fixed_encoder", AFFINE, AFFINE | STATISTICS),
        ("fixed", AFFINE, AFFINE),
        ("frozen", set(), set()),
    ],
)
def test_a_policy_changes_what_it_says(
    policy: NormPolicy, encoder: set[str], decoder: set[str]
) -> None:
    assert changed(policy) == {"encoder": encoder, "decoder": decoder}


def test_too_few_images_keep_a_filled_encoders_norms() -> None:
    model = network()
    picked = [
        pick_norm("auto", model, together=together, is_filled=is_filled)
        for together, is_filled in ((16, True), (8, True), (7, True), (1, True), (1, False))
    ]
    assert picked == ["train", "train", "fixed_encoder", "fixed_encoder", "train"]
    assert pick_norm("train", model, together=1, is_filled=True) == "train"
    without = build_model("unet", classes=3, options={"base_channels": 4})
    assert pick_norm("auto", without, together=1, is_filled=True) == "train"


def test_momentum_is_the_papers() -> None:
    model = network()
    hold_norms(model, "train", 0.0003)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.0003}
