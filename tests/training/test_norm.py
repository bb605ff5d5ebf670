"""What batch norm does under each policy, by what a step changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atrous.errors import InputError
from atrous.models import SegmentationModel, build_model
from atrous.training.config import NormPolicy, TrainConfig
from atrous.training.norm import check_norms, held_norms, hold_norms, norm_notes, pick_norm
from atrous.training.plan import Plan
from atrous.training.recipes import runs_of
from atrous.weights import create_model


def network() -> SegmentationModel:
    torch.manual_seed(0)
    options = {"aspp_channels": 8, "decoder_channels": 8, "skip_channels": 4}
    model = build_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=3, options=options
    )
    return model.train()


def filled(model: SegmentationModel, seed: int = 0) -> SegmentationModel:
    """Give the encoder's norms the statistics of some training."""
    torch.manual_seed(seed)
    for encoder in model.encoders:
        for norm in (m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.normal_(norm.running_mean)
    return model


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
    model = filled(network())
    picked = [pick_norm("auto", model, together=together) for together in (16, 8, 7, 1)]
    assert picked == ["train", "train", "fixed_encoder", "fixed_encoder"]
    assert pick_norm("auto", network(), together=1) == "train"
    assert pick_norm("train", model, together=1) == "train"
    without = build_model("unet", classes=3, options={"base_channels": 4})
    assert pick_norm("auto", without, together=1) == "train"


def test_norms_that_a_vgg_without_any_left_empty_are_trained(tmp_path: Path) -> None:
    """Kept as they began, at mean 0 and variance 1, they would not normalise at all."""
    from safetensors.torch import save_file
    from torchvision.models import vgg16

    save_file(vgg16().state_dict(), tmp_path / "vgg16.safetensors")
    model = create_model(
        "segnet",
        encoder_name="vgg16",
        encoder_weights=str(tmp_path / "vgg16.safetensors"),
        classes=3,
    )
    assert pick_norm("auto", model, together=4) == "train"


@pytest.mark.parametrize("recipe", ["pspnet", "deeplab_v3", "deeplab_v3_plus"])
def test_a_recipe_that_trains_norms_falls_back_where_the_device_takes_too_few(recipe: str) -> None:
    config = runs_of(TrainConfig(data=Path("data"), recipe=recipe)).phases[0]
    model = filled(network())
    assert config.batch_size == 16
    assert pick_norm(config.norm, model, together=16) == "train"
    assert pick_norm(config.norm, model, together=4) == "fixed_encoder"
    typed = runs_of(TrainConfig(data=Path("data"), recipe=recipe, norm="train")).phases[0]
    assert pick_norm(typed.norm, model, together=4) == "train"


def test_momentum_is_the_papers() -> None:
    model = network()
    hold_norms(model, "train", 0.0003)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.0003}


def plan(**fields: Any) -> Plan:
    usual = {
        "iterations": 5000, "done": 0, "batch_size": 16, "micro_batch": 4, "crop": (48, 48),
        "val_every": 500, "precision": "fp32", "device": "cuda", "workers": 0,
        "optimizer": "sgd", "lr": 0.1, "seconds": 1.0, "memory_bytes": 1,
    }  # fmt: skip
    return Plan(**{**usual, **fields})


def notes(made: Plan, *, is_filled: bool = True, **fields: Any) -> list[str]:
    config = TrainConfig(data=Path("data"), **fields)
    return norm_notes(config, made, filled(network()) if is_filled else network())


def test_training_on_the_statistics_of_few_images_is_told_with_a_remedy() -> None:
    (told,) = notes(plan(), norm="train")
    assert "sees 4 images at a time" in told
    assert "--norm fixed_encoder" in told
    assert "fixed" not in notes(plan(), norm="train", is_filled=False)[0]
    assert not notes(plan(processes=2), norm="train")  # eight on two GPUs together
    assert notes(plan(processes=2, device="cpu"), norm="train")
    assert "images at a time" not in str(notes(plan(norm="fixed"), norm="fixed"))


def test_keeping_statistics_that_nothing_has_filled_is_told_with_a_remedy() -> None:
    """`filled` fills the encoder only, as ImageNet weights do."""
    count = sum(isinstance(m, nn.BatchNorm2d) for m in network().modules())
    of_encoder = sum(isinstance(m, nn.BatchNorm2d) for m in network().encoder.modules())
    for kept in ("fixed", "frozen"):
        (told,) = notes(plan(norm=kept), is_filled=False, norm=kept)
        assert f"{count} of the {count} batch norms" in told
        assert "--norm train" in told
        (told,) = notes(plan(norm=kept), norm=kept)
        assert f"{count - of_encoder} of the {count} batch norms" in told
        assert "--norm fixed_encoder" in told
    assert not notes(plan(norm="fixed_encoder"), norm="fixed_encoder")
    (told,) = notes(plan(norm="fixed_encoder"), is_filled=False, norm="fixed_encoder")
    assert f"{of_encoder} of the {of_encoder} batch norms" in told


def test_the_papers_own_batch_of_four_is_not_called_noise() -> None:
    cut = plan(batch_size=4, micro_batch=2)
    assert not notes(plan(batch_size=4), norm="train", recipe="segnet", batch_size=4)
    assert notes(cut, norm="train", recipe="segnet", batch_size=4)  # the device's doing
    assert notes(plan(batch_size=4), norm="train", batch_size=4)


def test_statistics_that_stay_those_of_the_start_are_told() -> None:
    few = plan(micro_batch=16)
    (told,) = notes(few, norm_momentum=3e-4)  # 0.9997 ^ 5000
    assert "22% of the statistics" in told
    assert "--norm-momentum 0.01" in told
    assert not notes(few, norm_momentum=0.01)
    assert not notes(plan(micro_batch=8), norm_momentum=3e-4)  # twice as many: 5.0 %


def test_an_adversarys_turns_move_no_statistics() -> None:
    """10000 iterations, half of them the adversary's, are 5000 of the network: 0.9997 ^ 5000."""
    long = plan(micro_batch=16, iterations=10_000)
    assert not notes(long, norm_momentum=3e-4)  # 0.9997 ^ 10000 is 5.0 %
    (told,) = notes(
        long,
        norm_momentum=3e-4,
        adversary="small_fov",
        adversary_options={"pretrain_adversary": 0},
    )
    assert "5000 iterations of the network 22% of the statistics" in told


def test_processes_with_unlike_numbers_of_micro_batches_are_refused() -> None:
    uneven = plan(batch_size=9, processes=2)  # 4 and 5 images, by 4
    with pytest.raises(InputError, match=r"4 or 5 images each, in 1 or 2 micro-batches of 4.* 10$"):
        check_norms(uneven)
    check_norms(replace(uneven, micro_batch=5))
    check_norms(replace(uneven, norm="fixed"))
    check_norms(replace(uneven, device="cpu"))
    assert replace(uneven, norm="fixed_encoder").synchronises_norms


def test_held_norms_are_those_of_the_network_once_it_is_synchronised() -> None:
    model = network()
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    held = held_norms(model, "fixed_encoder")
    inside = [m for e in model.encoders for m in e.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert held == inside != []
