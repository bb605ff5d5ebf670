import pytest
import torch
from torchvision.models import segmentation

import atrous
from atrous.models import build_model
from atrous.ops import Normalization
from atrous.weights.layouts import recognise


def network(name, classes=21, aux_loss=True):
    return getattr(segmentation, name)(
        weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux_loss
    )


def saved(theirs, path, **content):
    torch.save({**theirs.state_dict(), **content}, path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "deeplabv3_resnet50",
        pytest.param("deeplabv3_resnet101", marks=pytest.mark.slow),
        "deeplabv3_mobilenet_v3_large",
        "fcn_resnet50",
        pytest.param("fcn_resnet101", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("aux_loss", [True, False])
def test_logits_are_torchvisions(tmp_path, lively, assert_same_logits, name, aux_loss):
    theirs = lively(lambda: network(name, aux_loss=aux_loss))
    ours = atrous.load(saved(theirs, tmp_path / f"{name}.pth"))
    assert ours.spec.architecture == ("pspnet" if name.startswith("fcn") else "deeplab_v3")
    assert ours.normalization == Normalization.imagenet()
    assert_same_logits(ours, theirs, torch.randn(1, 3, 65, 99))


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "fcn_resnet50"])
def test_auxiliary_scores_are_torchvisions(tmp_path, lively, name):
    theirs = lively(lambda: network(name))
    ours = atrous.load(saved(theirs, tmp_path / "w.pth"))
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        found = ours.auxiliary(ours.encoder(images)[3])
        expected = theirs.aux_classifier(theirs.backbone(images)["aux"])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "encoder", "parameters"),
    [
        ("deeplabv3_resnet50", "resnet50", 42_004_074),
        ("deeplabv3_resnet101", "resnet101", 60_996_202),
        ("fcn_resnet50", "resnet50", 35_322_218),
        ("fcn_resnet101", "resnet101", 54_314_346),
    ],
)
def test_every_published_tensor_finds_its_place(name, encoder, parameters):
    with torch.device("meta"):
        found = recognise(network(name).state_dict())
        assert found.encoder_name == encoder
        ours = build_model(found.architecture, encoder_name=encoder, options=found.options)
    state = ours.state_dict()
    assert {k: v.shape for k, v in found.tensors.items()} == {k: v.shape for k, v in state.items()}
    assert sum(p.numel() for p in ours.parameters()) == parameters  # as torchvision publishes it


def test_the_second_classifier_of_mobilenet_is_left_out(lively):
    found = recognise(lively(lambda: network("deeplabv3_mobilenet_v3_large")).state_dict())
    assert not found.options["auxiliary"]
    assert not any("aux" in name for name in found.tensors)


def test_another_number_of_classes_is_read_off_the_tensors(tmp_path, lively):
    theirs = lively(lambda: network("deeplabv3_mobilenet_v3_large", classes=5))
    assert len(atrous.load(saved(theirs, tmp_path / "w.pth")).label_set) == 5
