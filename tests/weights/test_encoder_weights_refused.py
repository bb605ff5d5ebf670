"""Encoder weights that are refused: files that do not fit or cannot be read, names offline."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from atrous.encoders import create_encoder
from atrous.errors import InputError
from atrous.weights import WeightsUnreachable, imagenet, load_encoder_weights


@pytest.mark.parametrize("other", ["mobilenet_v2_050", "resnet18", "resnet34"])
def test_weights_of_another_encoder_are_refused(tmp_path, other):
    path = tmp_path / f"{other}.safetensors"
    save_file(create_encoder(other).state_dict(), path)
    target = "resnet18" if other == "resnet34" else "mobilenet_v2_035"  # 34 holds all of 18's keys
    encoder = create_encoder(target)
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    with pytest.raises(InputError, match=rf"{other}.*another architecture, not of {target}"):
        load_encoder_weights(encoder, path, name=target)
    assert all(torch.equal(before[key], t) for key, t in encoder.state_dict().items())


class Exploit:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "missing.pth does not exist; give the path"),
        ("folder.pth", "folder", "is a folder; give a file of weights inside"),
        ("empty.pth", b"", "has 0 bytes; copy it again"),
        ("text.pth", b"not a checkpoint", "truncated or no file of torch.save|more than tensors"),
        ("weights.h5", b"HDF", r"ends in '.h5'; weights come as .safetensors, .pth"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "truncated or no safetensors file"),
        ("evil.pth", pickle.dumps(Exploit()), "more than tensors, and loading it could run code"),
    ],
)
def test_unreadable_files_get_one_clear_line(tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_encoder_weights(create_encoder("mobilenet_v2_035"), path)
    assert "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    with pytest.raises(InputError, match="save only the state_dict"):
        load_encoder_weights(create_encoder("mobilenet_v2_035"), tmp_path / "module.pth")


def test_a_truncated_pth_is_told_so(tmp_path):
    path = tmp_path / "cut.pth"
    torch.save(create_encoder("mobilenet_v2_035").state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"truncated or no file of torch\.save"):
        load_encoder_weights(create_encoder("mobilenet_v2_035"), path)


# "imagenet", without the network.


def test_imagenet_offline_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def no_route(*args, **kwargs):
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(imagenet, "urlopen", no_route)
    with pytest.raises(
        WeightsUnreachable, match=r"cannot be fetched.*give a file .*--weights none"
    ):
        load_encoder_weights(create_encoder("mobilenet_v2"), "imagenet", name="mobilenet_v2")


def test_imagenet_from_the_cache_needs_no_network(tmp_path, monkeypatch):
    source = create_encoder("mobilenet_v2")
    monkeypatch.setattr(imagenet, "_from_torchvision", lambda file: dict(source.state_dict()))
    target = create_encoder("mobilenet_v2", in_channels=1)
    load_encoder_weights(target, "imagenet", in_channels=1, name="mobilenet_v2")
    assert torch.equal(target.features[1].conv[1].weight, source.features[1].conv[1].weight)


def test_the_table_names_torchvisions_own_files():
    from torchvision.models import get_model_weights

    for name, file in imagenet.TORCHVISION_FILES.items():
        theirs = name.removesuffix("_1280")
        (weights,) = (w for w in get_model_weights(theirs) if w.name == "IMAGENET1K_V1")
        assert weights.url == imagenet.HOST + file


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "mobilenetv2_035", "caffenet"])
def test_encoders_without_public_weights_say_so(name):
    with pytest.raises(
        WeightsUnreachable, match=rf"no (public )?ImageNet weights for {name}.* a file"
    ):
        load_encoder_weights(create_encoder(name), "imagenet", name=name)
