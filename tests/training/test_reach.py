"""Which taps a crop leaves untrained: those whose gradient is 0 there."""

import pytest
import torch
from torch import nn

from atrous.models import build_model
from atrous.training.reach import unfed_taps

SMALL = {"aspp_channels": 8, "decoder_channels": 8, "skip_channels": 4}


def network():
    torch.manual_seed(0)
    return build_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=3, options=SMALL)


def rates_without_gradient(model, side):
    """Train a step for real; return the rates whose outer taps received nothing."""
    model.zero_grad()
    model(torch.randn(2, 3, side, side)).square().mean().backward()
    found = set()
    for layer in model.aspp.modules():
        if isinstance(layer, nn.Conv2d) and max(layer.dilation) > 1:
            outer = layer.weight.grad.clone()
            outer[..., 1, 1] = 0
            if not outer.any():
                found.add(max(layer.dilation))
    return found


@pytest.mark.parametrize(
    ("side", "dead"), [(96, {6, 12, 18}), (192, {12, 18}), (256, {18}), (320, set())]
)
def test_taps_that_are_named_have_no_gradient_and_others_have(side, dead):
    model = network()

    told = unfed_taps(model, (side, side), (480, 480))

    assert rates_without_gradient(model, side) == dead
    assert (told is None) == (not dead)
    if told:
        named = told.split("taps ")[1].split(" cells")[0].split(" and ")
        assert {int(rate) for rate in named} == dead


def test_the_crop_that_is_advised_feeds_every_tap():
    model = network()
    told = unfed_taps(model, (256, 256), (360, 480))

    assert told is not None
    assert told.startswith(
        "Crop     256x256 makes a map of 16x16 cells, too small to train taps 18 "
    )
    assert "images of 360x480 use them; better: --crop 320, " in told
    assert unfed_taps(model, (320, 320), (360, 480)) is None
    assert rates_without_gradient(model, 320) == set()


def test_what_no_image_feeds_either_is_no_news():
    assert unfed_taps(network(), (256, 256), (256, 256)) is None
    assert unfed_taps(network(), (160, 160), (192, 176)) is None  # rate 12 meets 12 and 11 cells


def test_the_model_stays_as_it_was():
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    unfed_taps(model, (64, 64), (256, 256))

    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["unet", "segnet_basic", "pspnet", "fcn8s"])
def test_networks_without_far_taps_are_not_spoken_of(name):
    encoder = {} if name in ("unet", "segnet_basic") else {"encoder_name": "mobilenet_v2_035"}
    assert unfed_taps(build_model(name, classes=3, **encoder), (128, 128), (256, 256)) is None
