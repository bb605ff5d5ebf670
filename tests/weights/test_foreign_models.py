import pytest
import torch
from safetensors.torch import save_file

import atrous
from atrous.errors import InputError
from atrous.models import build_model
from atrous.weights import create_model, save


@pytest.fixture(scope="module")
def peer():
    import segmentation_models_pytorch

    torch.manual_seed(0)
    return segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, classes=4).eval()


def assert_alike(ours, theirs):
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.safetensors", "model.safetensors"])
def test_a_file_of_any_kind_is_read(tmp_path, peer, name):
    if name.endswith("safetensors"):
        save_file(peer.state_dict(), tmp_path / name)
    else:
        torch.save(peer.state_dict(), tmp_path / name)
    ours = atrous.load(tmp_path / name)
    assert not ours.training
    assert ours.spec.encoder_name == "resnet18"
    assert ours.label_set.names == ("class_0", "class_1", "class_2", "class_3")
    assert_alike(ours, peer)


def test_a_training_checkpoint_with_wrapped_names_is_read(tmp_path, peer):
    state = {f"module.{name}": tensor for name, tensor in peer.state_dict().items()}
    torch.save({"epoch": 9, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert_alike(atrous.load(tmp_path / "w.pth"), peer)


def test_what_was_loaded_is_a_model_like_any_other(tmp_path, peer):
    torch.save(peer.state_dict(), tmp_path / "w.pth")
    first = atrous.load(tmp_path / "w.pth")
    second = atrous.load(save(first, tmp_path / "model"))
    assert second.spec == first.spec
    assert_alike(second, peer)
    result = atrous.Predictor(second)(torch.zeros(40, 30, 3, dtype=torch.uint8).numpy())
    assert result.labels.shape == (40, 30)


def test_the_weights_of_a_model_folder_are_not_loaded_alone(tmp_path):
    folder = save(build_model("unet", classes=2, options={"base_channels": 2}), tmp_path / "m")
    with pytest.raises(InputError, match=f"is a file, but a model is a folder; give {folder}"):
        atrous.load(folder / "model.safetensors")


def test_an_output_stride_can_be_chosen_after_training(tmp_path):
    trained = create_model("deeplab_v3", encoder_name="resnet18", aspp_channels=8).eval()
    folder = save(trained, tmp_path)
    dense = atrous.load(folder, output_stride=8)
    assert dense.spec.options["output_stride"] == 8
    assert dense.encoder.output_stride == 8
    expected = create_model(
        "deeplab_v3", encoder_name="resnet18", aspp_channels=8, output_stride=8
    ).eval()
    expected.load_state_dict(trained.state_dict())
    assert_alike(dense, expected)


def test_options_that_the_weights_contradict_are_refused(tmp_path):
    folder = save(create_model("deeplab_v3", encoder_name="resnet18", aspp_channels=8), tmp_path)
    with pytest.raises(InputError, match="checkpoint of another architecture"):
        atrous.load(folder, aspp_channels=16)
    with pytest.raises(InputError, match="unknown option of deeplab_v3 'output_strid'"):
        atrous.load(folder, output_strid=8)


def test_a_file_of_no_known_layout_is_named(tmp_path):
    torch.save({"stem.weight": torch.zeros(1)}, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=r"odd\.pth: a layout that is not known here"):
        atrous.load(tmp_path / "odd.pth")
