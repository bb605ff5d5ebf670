"""Code as it is written for segmentation_models_pytorch, run on our adapter."""

import inspect

import pytest
import segmentation_models_pytorch as peer
import torch

import atrous.smp as smp
from atrous.errors import InputError
from atrous.weights import imagenet


@pytest.mark.parametrize("name", ["Unet", "DeepLabV3", "DeepLabV3Plus", "PSPNet"])
@pytest.mark.parametrize("encoder", ["resnet34", "mobilenet_v2"])
def test_the_networks_have_smps_parameters(name, encoder):
    arguments = {"encoder_name": encoder, "encoder_weights": None, "in_channels": 1, "classes": 3}
    with torch.device("meta"):
        ours, theirs = (getattr(library, name)(**arguments) for library in (smp, peer))
        created = smp.create_model(name.lower(), **arguments)
    theirs.to("meta")(torch.empty(2, 1, 64, 64, device="meta")).sum().backward()  # its stem was not
    # smp's PSPNet keeps stages that it never runs, and has no norm on one level of the pyramid
    run = sum(p.numel() for p in theirs.parameters() if p.grad is not None)
    norm = ours.pyramid.levels[0][1].norm.num_features if name == "PSPNet" else 0
    assert sum(p.numel() for p in ours.parameters()) == run + norm
    assert created.spec == ours.spec


@pytest.mark.parametrize("name", ["Unet", "DeepLabV3", "DeepLabV3Plus", "PSPNet"])
def test_defaults_are_smps(name):
    theirs = defaults_of(getattr(peer, name).__init__)
    ours = defaults_of(getattr(smp, name))
    assert list(theirs)[: len(ours)] == list(ours)  # by position too
    ours |= smp.DEFAULTS[name]
    assert {argument: theirs[argument] for argument in ours} == ours


def defaults_of(function):
    parameters = inspect.signature(function).parameters.values()
    kept = [p for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"]
    return {p.name: p.default for p in kept}


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("DeepLabV3", "decoder_aspp_dropout"),
        ("DeepLabV3Plus", "decoder_aspp_dropout"),
        ("PSPNet", "psp_dropout"),
    ],
)
def test_dropout_is_smps_by_default_and_as_asked_for(name, argument):
    build = getattr(smp, name)
    with torch.device("meta"):
        models = [
            build("resnet18", encoder_weights=None, classes=3, **given)
            for given in ({}, {argument: 0.3})
        ]
    found = [model.spec.options["dropout"] for model in models]
    assert found == [smp.DEFAULTS[name][argument], 0.3]


def test_a_training_step_as_smps_readme_has_it():
    torch.manual_seed(0)
    model = smp.Unet(encoder_name="resnet18", encoder_weights=None, in_channels=1, classes=1)
    loss = peer.losses.DiceLoss(mode="binary", from_logits=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, masks = torch.randn(2, 1, 64, 96), torch.ones(2, 1, 64, 96)
    before = loss(model(images), masks)
    for _ in range(3):
        optimizer.zero_grad()
        loss(model(images), masks).backward()
        optimizer.step()
    assert model(images).shape == (2, 1, 64, 96)
    assert loss(model(images), masks) < before


def test_imagenet_weights_go_into_one_channel(monkeypatch):
    from atrous.encoders import create_encoder

    source = create_encoder("resnet18").state_dict()
    monkeypatch.setattr(imagenet, "_from_torchvision", lambda file: dict(source))
    for classes in (1, 3):
        model = smp.DeepLabV3Plus("resnet18", in_channels=1, classes=classes)
        expected = source["conv1.weight"].sum(1, keepdim=True)  # as smp adapts them
        torch.testing.assert_close(model.encoder.conv1.weight, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smp.create_model("fpn"), "unknown architecture shared .* 'fpn'; known: deeplabv3"),
        (lambda: smp.Unet(encoder_weights="ssl"), "encoder_weights is 'ssl'; give 'imagenet' or"),
        (
            lambda: smp.Unet(activation="sigmoid"),
            r"Unet\(activation='sigmoid'\) has no counterpart",
        ),
        (lambda: smp.Unet(decoder_chanels=(8,)), "unknown argument of Unet 'decoder_chanels'; did"),
        (lambda: smp.Unet("timm-efficientnet-b0"), "encoder timm-efficientnet-b0 has no counterp"),
        (lambda: smp.DeepLabV3(decoder_aspp_separable=True), "mixes separable and plain"),
        (lambda: smp.PSPNet("tu-resnet26"), "pyramids of timm are kept whole; take encoder_depth"),
        (lambda: smp.DeepLabV3Plus(upsampling=8), r"upsampling=8\) has no counterpart here"),
    ],
)
def test_what_smp_has_alone_is_refused_with_the_reason(call, message):
    with torch.device("meta"), pytest.raises(InputError, match=message):
        call()
