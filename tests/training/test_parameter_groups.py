"""Rates and decay of each parameter against the papers' tables, written out by hand."""

from collections.abc import Mapping

import pytest
from torch import nn

from atrous.models import SegmentationModel, build_model
from atrous.training.config import Decayed
from atrous.training.parameter_groups import parameter_groups
from atrous.weights import class_tensors


def settings(
    model: SegmentationModel,
    *,
    decayed: Decayed = "weights",
    factors: Mapping[str, float] | None = None,
) -> dict[str, tuple[float, float]]:
    """Return {parameter: (factor of the rate, decay)}."""
    groups = parameter_groups(
        model,
        weight_decay=0.5,
        decayed=decayed,
        factors=factors,
        classifier=class_tensors(model.spec),
    )
    names = {id(p): name for name, p in model.named_parameters()}
    found = [
        (names[id(p)], (group["lr_factor"], group["weight_decay"]))
        for group in groups
        for p in group["params"]
    ]
    assert len(found) == len(dict(found))  # each parameter once
    return dict(found)


def test_deeplab_v1s_classifier_learns_ten_times_and_its_biases_twenty_times_as_fast() -> None:
    model = build_model("deeplab_v1", classes=5, options={"fc_channels": 8})
    found = settings(model, factors={"classifier": 10.0, "biases": 2.0})
    assert found["fc8.weight"] == (10.0, 0.5)
    assert found["fc8.bias"] == (20.0, 0.0)
    others = {name: entry for name, entry in found.items() if not name.startswith("fc8")}
    assert {entry for name, entry in others.items() if name.endswith("weight")} == {(1.0, 0.5)}
    assert {entry for name, entry in others.items() if name.endswith("bias")} == {(2.0, 0.0)}


def test_the_attentions_own_layers_are_no_classifier_however_many_classes_there_are() -> None:
    model = build_model("attention_to_scale", classes=3, options={"fc_channels": 8})
    found = settings(model, factors={"classifier": 10.0, "biases": 2.0})
    fast = {name for name, (factor, _) in found.items() if factor >= 10}
    assert fast == {"network.fc8.weight", "network.fc8.bias"}  # three scales, three classes


def test_fcns_fixed_deconvolutions_are_in_no_group() -> None:
    model = build_model("fcn8s", classes=4, options={"fc_channels": 8})
    found = settings(model, factors={"biases": 2.0})
    assert not [name for name in found if name.startswith("upsamplings")]
    assert all(found[name] == (2.0, 0.0) for name in found if name.endswith("bias"))


def test_an_encoder_learns_at_a_tenth_and_new_layers_at_the_full_rate() -> None:
    model = build_model("refinenet_light", encoder_name="resnet18", classes=4)
    found = settings(model, factors={"encoder": 0.1})
    for name, (factor, _) in found.items():
        assert factor == (0.1 if name.startswith("encoder.") else 1.0), name


@pytest.mark.parametrize("decayed", ["weights", "dense", "scales", "all"])
def test_what_decays(decayed: Decayed) -> None:
    model = build_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=4)
    owners = dict(model.named_modules())
    for name, (_, decay) in settings(model, decayed=decayed).items():
        owner = owners[name.rpartition(".")[0]]
        is_norm, is_bias = isinstance(owner, nn.BatchNorm2d), name.endswith("bias")
        is_depthwise = isinstance(owner, nn.Conv2d) and owner.groups == owner.out_channels > 1
        expected = {
            "weights": not is_norm and not is_bias,
            "dense": not is_norm and not is_bias and not is_depthwise,
            "scales": not is_bias,
            "all": True,
        }[decayed]
        assert decay == (0.5 if expected else 0.0), name


def test_shifts_of_norms_are_no_biases() -> None:
    model = build_model("segnet_basic", classes=4)
    found = settings(model, factors={"biases": 2.0})
    owners = dict(model.named_modules())
    shifts = [n for n in found if isinstance(owners[n.rpartition(".")[0]], nn.BatchNorm2d)]
    assert shifts
    assert {found[name][0] for name in shifts} == {1.0}


def test_the_groups_are_the_same_once_batch_norm_is_synchronised() -> None:
    model = build_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=4)
    factors = {"encoder": 0.1, "biases": 2.0}
    alone = settings(model, factors=factors)
    nn.SyncBatchNorm.convert_sync_batchnorm(model)  # Lightning's, before it asks for the groups
    assert any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    assert settings(model, factors=factors) == alone
