import pytest
import torch
from safetensors.torch import save_file

import atrous
from atrous.encoders import create_encoder
from atrous.errors import InputError
from atrous.models import build_model
from atrous.weights import check_model


def weights_file(path, **remarks):
    state = create_encoder("mobilenet_v2_035").state_dict()
    save_file(state, path, remarks or None)
    return path


def test_encoder_weights_arrive_and_the_rest_is_random(tmp_path):
    path = tmp_path / "w.safetensors"
    source = create_encoder("mobilenet_v2_035")
    save_file(source.state_dict(), path)
    model = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=path, classes=4
    )
    for key, tensor in source.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[key], tensor)
    assert model(torch.zeros(1, 3, 33, 47)).shape == (1, 4, 33, 47)


def test_both_encoders_of_two_scales_are_filled(tmp_path):
    path = weights_file(tmp_path / "w.safetensors")
    model = atrous.create_model(
        "refinenet",
        encoder_name="mobilenet_v2_035",
        encoder_weights=path,
        variant="4-cascaded 2-scale",
        channels=4,
    )
    full, half = (encoder.state_dict() for encoder in model.encoders)
    assert full.keys() == half.keys()
    assert all(torch.equal(full[key], half[key]) for key in full)


def test_without_weights_it_is_what_build_model_builds():
    torch.manual_seed(3)
    created = atrous.create_model("unet", base_channels=2, classes=2, in_channels=1)
    torch.manual_seed(3)
    built = build_model("unet", classes=2, in_channels=1, options={"base_channels": 2})
    assert created.spec == built.spec
    assert all(map(torch.equal, created.parameters(), built.parameters()))


@pytest.mark.parametrize(
    ("remarks", "options", "padding"),
    [
        ({}, {}, "symmetric"),
        ({"padding": "same"}, {}, "same"),
        ({"padding": "same"}, {"padding": "symmetric"}, "symmetric"),
        ({}, {"padding": "same"}, "same"),
    ],
)
def test_a_weights_file_may_ask_for_its_padding_and_the_caller_decides(
    tmp_path, remarks, options, padding
):
    path = weights_file(tmp_path / "w.safetensors", **remarks)
    model = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=path, **options
    )
    assert model.spec.options["padding"] == padding


def test_the_papers_own_network_has_no_encoder_to_fill(tmp_path):
    path = weights_file(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="no encoder weights; name an encoder"):
        atrous.create_model("unet", encoder_weights=path)


@pytest.mark.parametrize(
    ("typed", "meant"), [("imagnet", "imagenet"), ("pretrained", "imagenet"), ("scratch", "none")]
)
def test_a_misspelt_start_is_answered_with_the_closest(typed, meant):
    with pytest.raises(InputError, match=rf"{typed} does not exist; did you mean {meant}\? give"):
        atrous.create_model("fcn8s", encoder_weights=typed)


def test_a_misspelt_model_is_named_before_any_file_is_read(tmp_path):
    with pytest.raises(InputError, match="unknown model 'unett'; did you mean unet"):
        atrous.create_model("unett", encoder_weights=tmp_path / "missing.pth")


def test_a_check_refuses_as_creation_does_and_allocates_nothing(tmp_path):
    path = weights_file(tmp_path / "w.safetensors", padding="same")
    check_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=path)
    check_model("fcn8s", options={"fc_channels": 500_000})  # 500 GB of weights

    for arguments, words in (
        ({"name": "unett"}, "unknown model"),
        ({"name": "unet", "encoder_weights": path}, "no encoder weights; name an encoder"),
        ({"name": "deeplab_v3_plus", "options": {"strid": 8}}, "unknown option"),
        ({"name": "deeplab_v3_plus", "encoder_name": "resnet18", "encoder_weights": path}, "same"),
        ({"name": "deeplab_v3_plus", "encoder_weights": tmp_path / "x.pth"}, "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            check_model(**arguments)
