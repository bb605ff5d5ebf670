"""The weights that a network began with can be found again by what is told of them."""

import hashlib

import torch

from atrous.weights import imagenet, weights_origin


def test_random_weights_have_no_origin():
    assert weights_origin(None, "resnet18") is None


def test_a_file_is_known_by_name_and_content_not_by_its_folder(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"abc")
    assert weights_origin(path, "resnet18") == {
        "source": "file",
        "name": "mine.safetensors",
        # FIPS 180-2, appendix B.1
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_torchvisions_weights_are_their_cached_file(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / imagenet.TORCHVISION_FILES["resnet18"]
    file.write_bytes(b"weights")
    assert weights_origin("imagenet", "resnet18") == {
        "source": "imagenet",
        "name": "resnet18-f37072fd.pth",
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }


def test_timms_weights_are_their_repository_on_the_hub(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    asked = []

    def cached(repository, name):
        asked.append((repository, name))
        return str(file)

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    origin = weights_origin("imagenet", "efficientnet_b0")
    assert origin["name"].startswith("timm/efficientnet_b0.")
    assert origin["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert asked == [(origin["name"], "model.safetensors")]
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    assert weights_origin("imagenet", "efficientnet_b0") == {
        "source": "imagenet",
        "name": origin["name"],
    }
