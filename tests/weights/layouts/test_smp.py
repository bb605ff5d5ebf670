import json

import pytest
import segmentation_models_pytorch as peer
import torch

import atrous
import atrous.smp as smp
from atrous.errors import InputError
from atrous.weights.layouts import recognise

NETWORKS = ("Unet", "DeepLabV3", "DeepLabV3Plus", "PSPNet")
ENCODERS = ("resnet34", "resnet50", "mobilenet_v2")


def network(name, encoder="resnet18", **arguments):
    arguments = {"encoder_weights": None, "classes": 3, **arguments}
    return getattr(peer, name)(encoder_name=encoder, **arguments)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_smps(tmp_path, lively, assert_same_logits, name, encoder):
    theirs = lively(lambda: network(name, encoder))
    torch.save(theirs.state_dict(), tmp_path / "best_model.pth")
    ours = atrous.load(tmp_path / "best_model.pth")
    assert_same_logits(ours, theirs, torch.randn(1, 3, 64, 96))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Unet", {"decoder_channels": (128, 64, 32, 16, 8), "in_channels": 5}),
        ("DeepLabV3", {"encoder_output_stride": 16, "decoder_atrous_rates": (6, 12, 18)}),
        ("DeepLabV3", {"decoder_channels": 64, "in_channels": 1}),
        ("DeepLabV3Plus", {"encoder_output_stride": 8, "decoder_channels": 64}),
        ("DeepLabV3Plus", {"encoder_name": "tu-resnet18", "decoder_atrous_rates": (3, 6, 9)}),
        ("Unet", {"encoder_name": "tu-resnet26"}),
        ("PSPNet", {"encoder_depth": 4, "upsampling": 16, "psp_out_channels": 64}),
        ("PSPNet", {"encoder_name": "tu-resnet26", "encoder_depth": 5, "upsampling": 32}),
        ("PSPNet", {"encoder_name": "mobilenet_v2", "encoder_depth": 2, "upsampling": 4}),
    ],
)
def test_a_saved_folder_gives_smps_logits(tmp_path, lively, assert_same_logits, name, arguments):
    theirs = lively(lambda: network(name, **{"encoder": "resnet18", **_renamed(arguments)}))
    theirs.save_pretrained(tmp_path)
    channels = arguments.get("in_channels", 3)
    for ours in (atrous.load(tmp_path), smp.from_pretrained(tmp_path)):
        assert_same_logits(ours, theirs, torch.randn(1, channels, 64, 96))


def _renamed(arguments):
    return {("encoder" if k == "encoder_name" else k): v for k, v in arguments.items()}


def test_u_net_of_smp_gives_the_same_at_odd_sizes(tmp_path, lively, assert_same_logits):
    theirs = lively(lambda: network("Unet"))  # the one of smp's that takes any size
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    assert_same_logits(atrous.load(tmp_path / "w.pth"), theirs, torch.randn(1, 3, 75, 50))


def test_one_map_for_a_sigmoid_becomes_two_classes(tmp_path, lively):
    theirs = lively(lambda: network("DeepLabV3Plus", classes=1))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours, images = atrous.load(tmp_path / "w.pth"), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found, expected = ours(images).softmax(1)[:, 1:], theirs(images).sigmoid()
    torch.testing.assert_close(found, expected)


def test_names_of_older_versions_are_known(lively):
    state = lively(lambda: network("DeepLabV3")).state_dict()
    expected = recognise(state).tensors
    older = {
        "decoder.aspp.": "decoder.0.",
        "decoder.conv.": "decoder.1.",
        "decoder.bn.": "decoder.2.",
    }
    renamed = {}
    for name, tensor in state.items():
        prefix = next((p for p in older if name.startswith(p)), "")
        renamed[older.get(prefix, "") + name.removeprefix(prefix)] = tensor
    found = recognise(renamed).tensors
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("FPN", {}, "a network of segmentation_models_pytorch that is not ours too"),
        ("Unet", {"encoder": "efficientnet-b0"}, "encoder cannot be told from its tensors"),
    ],
)
def test_other_networks_and_encoders_are_refused(name, arguments, message):
    with torch.device("meta"):
        state = network(name, **arguments).state_dict()
    with pytest.raises(InputError, match=message):
        recognise(state)


def test_a_pspnet_that_gives_no_logits_at_image_size_is_refused(tmp_path):
    network("PSPNet", encoder_depth=4).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"upsampling=8\) with encoder_depth=4 .*; take 16"):
        atrous.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"_model_class": "FPN"}, "unknown network of segmentation_models_pytorch .* 'FPN'"),
        ({"decoder_attention_type": "scse"}, r"Unet\(decoder_attention_type='scse'\) has no count"),
        ({"encoder_depth": 3}, r"Unet\(encoder_depth=3\) has no counterpart here; only 5 has"),
        ({"encoder_name": "vgg16_bn"}, "encoder vgg16_bn has no counterpart here; take a ResNet"),
        ({"decoder_channels": [8] * 5}, "each of the five must be half"),
        ({"decoder_depth": 5}, "unknown argument of Unet 'decoder_depth'; did you mean"),
        ({"classes": 3, "encoder_name": "resnet34"}, "another architecture.*resnet34"),
    ],
)
def test_a_folder_that_cannot_be_ours_is_told_why(tmp_path, content, message):
    network("Unet").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(InputError, match=message) as caught:
        atrous.load(tmp_path)
    assert "\n" not in str(caught.value)
